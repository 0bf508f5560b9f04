"""Replies go only to permitted queues, and never to the worker's own."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from recording_sandbox.waiting import Eventually
from tests.fault.tcp_proxy import TcpProxy
from tests.integration.publishing.test_relay import Bench, open_bench
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.relay import OutboxRelay


@pytest.fixture
async def bench(amqp_url: str, names_prefix: str, sqlite_url: str) -> AsyncIterator[Bench]:
    async with (
        TcpProxy(urlsplit(amqp_url).port or 5672) as link,
        open_bench(amqp_url, names_prefix, sqlite_url, link) as bench,
    ):
        yield bench


@asynccontextmanager
async def replying(bench: Bench, pattern: str) -> AsyncIterator[None]:
    """Relay replies to queues of this pattern, and no other events."""
    events = EventPublisher(
        bench.reply_publisher,
        bench.topology,
        metrics=bench.metrics,
        now=time.time,
        reply_pattern=pattern,
    )
    relay = OutboxRelay(
        bench.store, events, now=time.time, replies=True, idle_interval_seconds=0.05
    )
    async with bench.connected():
        running = asyncio.create_task(relay.run(lambda: True))
        try:
            yield
        finally:
            running.cancel()


async def unsent_replies(bench: Bench) -> int:
    return len(await bench.rows("sent_at IS NULL AND exchange = 'reply'"))


def refused(bench: Bench, reason: str) -> float | None:
    return bench.registry.get_sample_value(
        "recording_worker_replies_refused_total", {"reason": reason}
    )


async def waiting(bench: Bench, queue: str) -> int:
    channel = await bench.raw.channel()
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


async def declare(bench: Bench, *queues: str) -> None:
    channel = await bench.raw.channel()
    for queue in queues:
        await channel.declare_queue(queue, exclusive=True)


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        ("^answers", {"answers-1", "answers-2"}),
        (r"^(answers-1|others)\.", {"answers-1", "others"}),
        ("-1", {"answers-1"}),
        ("", {"answers-1", "answers-2", "others"}),
        ("^answers$", set()),
    ],
)
async def test_a_reply_goes_only_to_a_queue_that_matches_the_pattern(
    bench: Bench, names_prefix: str, eventually: Eventually, pattern: str, allowed: set[str]
) -> None:
    suffix = names_prefix.replace("-1", "")
    names = {name: f"{name}.{suffix}" for name in ("answers-1", "answers-2", "others")}
    await declare(bench, *names.values())
    for number, queue in enumerate(names.values()):
        await bench.finish(f"c{number}", reply_to=queue)

    async def is_done() -> bool:
        return await unsent_replies(bench) == 0

    async with replying(bench, pattern):
        await eventually(is_done)
        found = {name for name, queue in names.items() if await waiting(bench, queue)}
    assert found == allowed
    assert refused(bench, "pattern") == len(names) - len(allowed)


async def test_a_reply_never_goes_to_a_queue_of_the_worker(
    bench: Bench, eventually: Eventually
) -> None:
    async with bench.connected():
        pass  # it has declared the queues
    own = [queue.name for queue in bench.topology.queues]
    former = f"{bench.topology.command_queue}.retry.7s"
    await declare(bench, former)
    for number, queue in enumerate([*own, former]):
        await bench.finish(f"c{number}", reply_to=queue)

    async def is_done() -> bool:
        return await unsent_replies(bench) == 0

    async with replying(bench, ""):
        await eventually(is_done)
        assert [await waiting(bench, queue) for queue in [*own, former]] == [0] * (len(own) + 1)
    assert refused(bench, "own_queue") == len(own) + 1


async def test_many_refused_replies_do_not_keep_the_others(
    bench: Bench, names_prefix: str, eventually: Eventually
) -> None:
    await declare(bench, f"good-{names_prefix}")
    for number in range(30):
        await bench.finish(f"c{number}", reply_to=f"bad-{number}")
    await bench.finish("last", reply_to=f"good-{names_prefix}")

    async def has_come() -> bool:
        return await waiting(bench, f"good-{names_prefix}") == 1

    async with replying(bench, "^good-"):
        await eventually(has_come)
