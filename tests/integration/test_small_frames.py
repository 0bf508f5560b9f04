"""A broker whose frames are as small as AMQP allows."""

from collections.abc import Iterator

import pytest

from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.waiting import Eventually
from tests.integration.broker_bench import open_broker_benches
from tests.raw_properties import RawProperties, long, short
from worker.broker.messages import Dead, Delivery, Retry, Settlement
from worker.broker.properties import (
    APP_ID,
    CORRELATION_ID,
    HEADERS,
    MESSAGE_ID,
    REPLY_TO,
    joined_properties,
    joined_table,
)


@pytest.fixture
def small_frames_url(private_rabbitmq: RabbitMQNode) -> Iterator[str]:
    private_rabbitmq.ctl("eval", "application:set_env(rabbit, frame_max, 4096).")
    yield private_rabbitmq.amqp_url
    private_rabbitmq.ctl("eval", "application:set_env(rabbit, frame_max, 131072).")


async def test_copies_fit_the_frames_of_the_broker(
    small_frames_url: str, names_prefix: str, eventually: Eventually
) -> None:
    texts = {flag: short(b"t" * 255) for flag in (APP_ID, CORRELATION_ID, MESSAGE_ID, REPLY_TO)}
    headers = joined_table([(b"h%d" % number, b"S" + long(b"v" * 200)) for number in range(13)])
    wire = joined_properties(texts | {HEADERS: headers})

    async def settle(delivery: Delivery) -> Settlement:
        if delivery.attempts:
            return Dead(code="bad", reason="€" * 3000)
        return Retry(delay_seconds=0.05, code="busy", reason="€" * 3000)

    async with open_broker_benches(small_frames_url, names_prefix) as broker:
        bench = await broker.bench(settle)
        async with bench.running():
            await bench.send_raw(b"{}" * 5000, RawProperties(wire))
            dead = await eventually(lambda: bench.get(bench.topology.dead_queue))
            assert dead is not None
            assert bench.connections == 1
    assert dead.body == b"{}" * 5000
    assert (dead.app_id, dead.correlation_id) == ("t" * 255, "t" * 255)
    assert isinstance(dead.headers["x-dropped-headers"], int)
