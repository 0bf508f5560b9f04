"""`examples/go` with the least permissions, on a real broker, worker and sandbox."""

from typing import Final

import pytest

from tests.examples.example_process import ROOT
from tests.examples.publisher_tests import PublisherTests
from tests.examples.subscriber_checks import SubscriberExample, owners_of_files
from tests.examples.subscriber_tests import SubscriberTests

pytestmark = pytest.mark.asyncio(loop_scope="module")
FOLDER: Final = ROOT / "var" / "examples" / "go"  # make builds it there


class TestSubscriber(SubscriberTests):
    example = SubscriberExample((FOLDER / "recording-subscriber",), FOLDER, owners_of_files)
    user = "go-subscriber"


class TestPublisher(PublisherTests):
    program = (FOLDER / "recording-start",)
    folder = FOLDER
    user = "go-publisher"
    unroutable_error = "no queue takes commands"
