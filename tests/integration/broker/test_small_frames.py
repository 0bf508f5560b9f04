"""A broker whose frames are as small as AMQP allows."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.contract.store.test_pruning import claim
from tests.integration.broker.broker_bench import open_broker_benches
from tests.raw_properties import RawProperties, long, short
from worker.broker.kept_copy import envelope_of
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.broker.properties import (
    APP_ID,
    CORRELATION_ID,
    HEADERS,
    MESSAGE_ID,
    REPLY_TO,
    joined_properties,
    joined_table,
)
from worker.publishing.parked_relay import ParkedRelay
from worker.store.outbox import Reply
from worker.store.parking import KeptMessage, ParkRequest
from worker.store.store import Store


@pytest.fixture
def small_frames_url(private_rabbitmq: RabbitMQNode) -> Iterator[str]:
    private_rabbitmq.evaluate("application:set_env(rabbit, frame_max, 4096).")
    yield private_rabbitmq.amqp_url
    private_rabbitmq.evaluate("application:set_env(rabbit, frame_max, 131072).")


def large_properties() -> RawProperties:
    """Properties that leave a frame hardly any room."""
    texts = {flag: short(b"t" * 255) for flag in (APP_ID, CORRELATION_ID, MESSAGE_ID, REPLY_TO)}
    headers = joined_table([(b"h%d" % number, b"S" + long(b"v" * 200)) for number in range(13)])
    return RawProperties(joined_properties(texts | {HEADERS: headers}))


async def test_copies_fit_the_frames_of_the_broker(
    small_frames_url: str, names_prefix: str, eventually: Eventually
) -> None:

    async def settle(delivery: Delivery) -> Settlement:
        if delivery.attempts:
            return Dead(code="bad", reason="€" * 3000)
        return Retry(delay_seconds=0.05, code="busy", reason="€" * 3000)

    async with open_broker_benches(small_frames_url, names_prefix) as broker:
        bench = await broker.bench(settle)
        async with bench.running():
            await bench.send_raw(b"{}" * 5000, large_properties())
            dead = await eventually(lambda: bench.get(bench.topology.dead_queue))
            assert dead is not None
            assert bench.connections == 1
    assert dead.body == b"{}" * 5000
    assert (dead.app_id, dead.correlation_id) == ("t" * 255, "t" * 255)
    assert isinstance(dead.headers["x-dropped-headers"], int)


async def test_parked_commands_fit_the_frames_of_the_broker(
    small_frames_url: str, names_prefix: str, eventually: Eventually, tmp_path: Path
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'state.db'}", source="test")

    async def settle(delivery: Delivery) -> Settlement:
        if delivery.unparked is not None:
            return Dead(code="bad", reason="€" * 3000)
        await park(store, delivery)
        return Ack()

    async with open_broker_benches(small_frames_url, names_prefix) as broker:
        bench = await broker.bench(settle)
        relay = ParkedRelay(store, bench.publisher, bench.topology, now=time.time)
        async with bench.running():
            await bench.send_raw(b"{}" * 5000, large_properties())

            async def unparked() -> bool:
                return await relay.publish_due()

            await eventually(unparked)
            dead = await eventually(lambda: bench.get(bench.topology.dead_queue))
            assert dead is not None
            assert bench.connections == 1
    await store.close()
    assert dead.body == b"{}" * 5000
    assert (dead.app_id, dead.correlation_id) == ("t" * 255, "t" * 255)
    assert isinstance(dead.headers["x-dropped-headers"], int)


async def park(store: Store, delivery: Delivery) -> None:
    """Park the delivery as a command that is due."""
    envelope = envelope_of(delivery, code="no_session", reason="€" * 3000, now=time.time())
    await store.claim(claim("c"))
    await store.park(
        ParkRequest(
            command_id="c",
            owner="me",
            waits_for="session",
            app="default",
            subject="m",
            now=time.time(),
            due_at=0.0,
            ignore_lists_until=0.0,
            message=KeptMessage(body=delivery.body, envelope=envelope),
            last_error="{}",
            reply=Reply(),
        )
    )
