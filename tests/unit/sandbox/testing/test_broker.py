"""The broker of the pytest plugin."""

import pytest

from recording_sandbox.services.processes import LaunchError
from recording_sandbox.testing.broker import start_broker


def test_without_rabbitmq_the_error_says_what_to_set_or_install() -> None:
    with pytest.raises(LaunchError, match=r"set AMQP_URL .* or install rabbitmq-server"):
        start_broker({}, find=lambda: None)
