"""A body above the limit is never held in memory, and stays unchanged in the dead-letter queue."""

import asyncio
import hashlib
import tracemalloc

import pytest

from recording_sandbox.waiting import Eventually
from tests.integration.broker.broker_bench import BrokerBench, BrokerBenches
from worker.broker.admin.dead_letter_reason import reason_from_headers
from worker.broker.consumer import MAX_LARGE_BYTES
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement

LIMIT = 10_000
LARGE = 4_000_000
NEVER_HELD = MAX_LARGE_BYTES + 1


async def refuse_large(delivery: Delivery) -> Settlement:
    if delivery.unread_bytes or len(delivery.body) > LIMIT:
        return Dead(code="too_large", reason="too large")
    return Ack()


async def dead_letters(bench: BrokerBench, count: int, eventually: Eventually) -> None:
    async def has_arrived() -> bool:
        return await bench.count(bench.topology.dead_queue) == count

    await eventually(has_arrived)


async def test_bodies_above_the_limit_are_held_up_to_a_few_megabytes_only(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    may_settle = asyncio.Event()

    async def refuse_later(delivery: Delivery) -> Settlement:
        await may_settle.wait()
        return Dead(code="too_large", reason="too large")

    bench = await benches.bench(refuse_later, max_body_bytes=LIMIT)
    async with bench.running():
        tracemalloc.start()
        for number in range(10):
            await bench.send(b"x" * LARGE, message_id=f"m-{number}")
        await eventually(lambda: len(bench.deliveries) == 10)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        may_settle.set()
        await dead_letters(bench, 10, eventually)
    assert held < MAX_LARGE_BYTES + LARGE
    sizes = sorted(delivery.unread_bytes or len(delivery.body) for delivery in bench.deliveries)
    assert sizes == [LARGE] * 10


async def test_a_few_bodies_above_the_limit_get_the_reason_into_their_headers(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(refuse_large, max_body_bytes=LIMIT)
    async with bench.running():
        for number in range(12):  # more than fit at a time, so memory must be released
            await bench.send(b"x" * 1_000_000, message_id=f"m-{number}")
            await dead_letters(bench, number + 1, eventually)
    for _ in range(12):
        letter = await bench.get(bench.topology.dead_queue)
        assert letter is not None
        assert letter.headers["x-reason-code"] == "too_large"


async def test_an_unread_dead_letter_has_its_bytes_and_properties(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(refuse_large, max_body_bytes=LIMIT)
    body = bytes(range(256)) * 40_000
    async with bench.running():
        await bench.send(body, message_id="m", reply_to="r", headers={"a": 1, "CC": ["other.key"]})
        await dead_letters(bench, 1, eventually)
    letter = await bench.get(bench.topology.dead_queue)
    assert letter is not None
    assert hashlib.sha256(letter.body).digest() == hashlib.sha256(body).digest()
    assert (letter.message_id, letter.reply_to, letter.headers["a"]) == ("m", "r", 1)
    assert "x-reason-code" not in letter.headers
    reason = reason_from_headers(letter.headers, dead_queue=bench.topology.dead_queue)
    assert (reason.by, reason.code) == ("broker", "rejected")
    assert await bench.count(bench.topology.command_queue) == 0


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
async def test_a_body_up_to_the_limit_is_delivered_whole(
    benches: BrokerBenches, eventually: Eventually, size: int
) -> None:
    bench = await benches.bench(refuse_large, max_body_bytes=LIMIT)
    async with bench.running():
        await bench.send(b"x" * size)
        await eventually(lambda: bench.deliveries)
    (delivery,) = bench.deliveries
    assert (len(delivery.body), delivery.unread_bytes) == (size, 0)


async def test_deliveries_around_a_body_above_the_limit_are_whole(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    bench = await benches.bench(refuse_large, max_body_bytes=LIMIT)
    async with bench.running():
        for body in (b"before", b"x" * NEVER_HELD, b"after", b"", b"y" * (NEVER_HELD + 1), b"last"):
            await bench.send(body)
        await eventually(lambda: len(bench.deliveries) == 6)
        await dead_letters(bench, 2, eventually)
    assert [delivery.unread_bytes for delivery in bench.deliveries] == [
        *(0, NEVER_HELD, 0, 0, NEVER_HELD + 1, 0)
    ]
    assert bench.bodies == [b"before", b"", b"after", b"", b"", b"last"]


async def test_a_body_above_the_limit_waits_in_the_queue_when_it_cannot_be_settled_yet(
    benches: BrokerBenches, eventually: Eventually
) -> None:
    async def refuse_the_second_time(delivery: Delivery) -> Settlement:
        if not delivery.redelivered:
            return Retry(delay_seconds=0.01, code="store_unavailable", reason="not now")
        return await refuse_large(delivery)

    bench = await benches.bench(refuse_the_second_time, max_body_bytes=LIMIT)
    async with bench.running():
        await bench.send(b"x" * NEVER_HELD, message_id="m")
        await dead_letters(bench, 1, eventually)
    assert [delivery.redelivered for delivery in bench.deliveries] == [False, True]
