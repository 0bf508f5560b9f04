"""`examples/node` with the least permissions, on a real broker, worker and sandbox."""

from typing import Final

import pytest

from tests.examples.publisher_tests import PublisherTests
from tests.examples.subscriber_checks import SubscriberExample, owners_of_files
from tests.examples.subscriber_tests import SubscriberTests
from tests.examples.virtual_host import EXAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = EXAMPLES / "node"  # make compiles it


class TestSubscriber(SubscriberTests):
    example = SubscriberExample(("node", "dist/subscriber.js"), FOLDER, owners_of_files)
    user = "node-subscriber"


class TestPublisher(PublisherTests):
    program = ("node", "dist/start.js")
    folder = FOLDER
    user = "node-publisher"
    unroutable_error = "no queue takes commands"
