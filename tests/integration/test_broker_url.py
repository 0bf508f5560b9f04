"""What the parameters of AMQP_URL do to a connection."""

import pytest

from worker.broker.connection import HEARTBEAT_SECONDS, close_quietly, open_connection


@pytest.mark.parametrize(
    ("query", "seconds"), [("", HEARTBEAT_SECONDS), ("?heartbeat=7", 7), ("?heartbeat=25", 25)]
)
async def test_the_heartbeat_of_the_broker_url_is_used(
    amqp_url: str, query: str, seconds: int
) -> None:
    connection = await open_connection(f"{amqp_url}{query}", "heartbeat")
    assert connection.transport is not None
    assert connection.transport.connection.connection_tune.heartbeat == seconds
    await close_quietly(connection)
