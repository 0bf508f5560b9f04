"""Something between the worker and the broker silently ends connections that carry an event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.integration.publishing.test_relay import KEYS, LIFE, Bench, bench_is_empty, open_bench
from tests.loopback_server import LoopbackServer, connected_to

FORBIDDEN = b"forbidden-by-the-firewall"


class Firewall:
    """Resets every connection that carries `FORBIDDEN` to the broker, and counts those."""

    port = 0
    resets = 0


@asynccontextmanager
async def open_firewall(broker_port: int) -> AsyncIterator[Firewall]:
    firewall = Firewall()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connected_to("127.0.0.1", broker_port) as (answers, requests):
            back = asyncio.create_task(_pump(answers, writer))
            try:
                while (data := await reader.read(1_000_000)) and FORBIDDEN not in data:
                    requests.write(data)
                firewall.resets += FORBIDDEN in data
            finally:
                back.cancel()
                for side in (writer, requests):
                    side.transport.abort()

    async with LoopbackServer(serve, limit=1_000_000) as server:
        firewall.port = server.port
        yield firewall


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@pytest.fixture
async def firewall(amqp_url: str) -> AsyncIterator[Firewall]:
    async with open_firewall(urlsplit(amqp_url).port or 5672) as firewall:
        yield firewall


@pytest.fixture
async def bench(
    amqp_url: str, names_prefix: str, sqlite_url: str, firewall: Firewall
) -> AsyncIterator[Bench]:
    async with open_bench(amqp_url, names_prefix, sqlite_url, firewall) as opened:
        yield opened


async def test_an_event_that_ends_every_connection_is_set_aside_and_keeps_no_other(
    bench: Bench, eventually: Eventually
) -> None:
    await bench.commit_statuses(["before"], LIFE)
    await bench.commit_statuses([FORBIDDEN.decode()], [Status.INVOKED])
    await bench.commit_statuses(["after"], LIFE)
    async with bench.relaying():
        await eventually(
            lambda: bench.keys_by_recording() == dict.fromkeys(("before", "after"), KEYS)
        )
        await bench.commit_statuses([f"later-{number}" for number in range(20)], [Status.INVOKED])
        bench.relay.wake()
        await eventually(lambda: len(bench.keys_by_recording()) == 22)

        async def is_set_aside() -> bool:
            await bench.commit_statuses([f"another-{len(bench.received)}"], [Status.INVOKED])
            bench.relay.wake()
            return len(await bench.set_aside_ids()) == 1

        await eventually(is_set_aside)
        await eventually(bench_is_empty(bench))


async def test_many_events_that_end_every_connection_at_the_head_keep_no_other(
    bench: Bench, eventually: Eventually
) -> None:
    culprits = [f"{FORBIDDEN.decode()}-{number}" for number in range(9)]
    for culprit in culprits:
        await bench.commit_statuses([culprit], [Status.INVOKED])
    await bench.commit_statuses(["after"], LIFE)
    async with bench.relaying():

        async def have_others_gone_out() -> bool:
            bench.relay.wake()
            return bench.keys_by_recording() == {"after": KEYS}

        await eventually(have_others_gone_out)
        await bench.commit_statuses(["later"], [Status.INVOKED])
        await eventually(lambda: "later" in bench.keys_by_recording())


async def test_an_event_that_ends_the_connection_is_not_set_aside_while_no_other_goes_out(
    bench: Bench, firewall: Firewall, eventually: Eventually
) -> None:
    """The broker itself may end every connection."""
    await bench.commit_statuses([FORBIDDEN.decode()], [Status.INVOKED])
    async with bench.relaying():
        await eventually(lambda: firewall.resets >= 6)
        assert await bench.set_aside_ids() == []
