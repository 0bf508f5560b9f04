"""The demo's messages when it cannot use the broker."""

import pytest
from yarl import URL

from recording_sandbox.demo.broker_check import require_broker
from recording_sandbox.services.processes import LaunchError


@pytest.mark.parametrize(
    "url", ["hunter2", "http://hunter2@h/", "amqp://", "amqp://hunter2@h:99999/"]
)
async def test_a_url_that_is_none_of_a_broker_is_named_and_not_shown(url: str) -> None:
    with pytest.raises(LaunchError, match=r"^AMQP_URL: must be a URL such as amqp://") as raised:
        await require_broker(url)

    assert "hunter2" not in str(raised.value)


async def test_a_virtual_host_that_does_not_exist_is_the_reason(amqp_url: str) -> None:
    with pytest.raises(
        LaunchError, match=r"AMQP_URL: .* the virtual host in the URL does not exist"
    ):
        await require_broker(str(URL(amqp_url) / "none-such"))
