"""`examples/faststream` with the least permissions, on a real broker, worker and sandbox."""

from typing import Final

import pytest

from tests.examples.example_process import INTEGRATIONS
from tests.examples.publisher_tests import PublisherTests
from tests.examples.subscriber_checks import SubscriberExample, owners_of_files
from tests.examples.subscriber_tests import SubscriberTests
from tests.examples.virtual_host import EXAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "faststream"
PYTHON: Final = INTEGRATIONS / "python"
QUICK_RETRIES: Final = (
    "import asyncio, logging, subscriber as s; s.RETRY_DELAY_SECONDS = 0.2; "
    "logging.basicConfig(level=logging.INFO); asyncio.run(s.app.run())"
)


class TestSubscriber(SubscriberTests):
    example = SubscriberExample((PYTHON, "subscriber.py"), FOLDER, owners_of_files)
    impatient = SubscriberExample((PYTHON, "-c", QUICK_RETRIES), FOLDER, owners_of_files)
    user = "faststream-subscriber"


class TestPublisher(PublisherTests):
    program = (PYTHON, "publisher.py")
    folder = FOLDER
    user = "faststream-publisher"
