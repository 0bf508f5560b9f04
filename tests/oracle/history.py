"""Runs one history: real workers between a real broker and the stand-in. The seed decides."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aio_pika

from tests.fault.tcp_proxy import TcpProxy
from tests.oracle.apps import ONE_APP, TWO_APPS
from tests.oracle.behaviour import Behaviour, draw_behaviour
from tests.oracle.check_missing import check_missing, recordings_with_missing_files
from tests.oracle.commands import CommandDrawer, sync_of
from tests.oracle.evidence import Evidence
from tests.oracle.meeting_life import MeetingLife
from tests.oracle.replicas import Place, Replicas, draw_settings
from tests.oracle.sender import Sender
from tests.oracle.stand_in import StandIn
from tests.oracle.strikes import Strikes
from tests.oracle.subscriber import Subscriber

STALL_LOOK_SECONDS: Final = 0.02
MAX_EXTRA_SECONDS: Final = 15.0
"""How much longer commands are sent while none has started a recording. A history without one
proves little, and chance alone may draw no start for a live meeting."""
SETTLE_LOOK_SECONDS: Final = 0.3
"""The time between two looks for what is missing. Nothing may be missing in three of them, because
only time shows that no further message comes."""
SYNC_AFTER_SECONDS: Final = 12.0
"""Longer than the worker looks for files: WORKER_FILES_WAIT_SECONDS and _LATE_SECONDS together."""


@dataclass(frozen=True)
class Script:
    """What a history is made of. Times are seconds."""

    seed: int
    behaviour: Behaviour
    settings: dict[str, str]
    replicas: int = 1
    has_two_apps: bool = False
    seconds: float = 8.0
    pause: float = 0.3
    """Between two commands, on average."""
    strike_pause: float | None = 1.5
    """Between two strikes, on average; None for no strikes."""
    settle_seconds: float = 40.0


def draw_script(seed: int) -> Script:
    """The history of a seed."""
    dice = random.Random(seed)
    return Script(
        seed,
        draw_behaviour(dice),
        draw_settings(dice),
        replicas=dice.choice((1, 1, 2, 3)),
        has_two_apps=dice.random() < 0.25,
        seconds=dice.choice((5.0, 8.0)),
        pause=dice.choice((0.1, 0.3, 0.6)),
        strike_pause=dice.choice((None, 0.8, 1.5, 3.0)),
    )


async def run_history(script: Script, place: Place) -> Evidence:
    """Run it, and return what is known afterwards. No process is left."""
    dice = random.Random(script.seed)
    evidence = Evidence()
    evidence.limits.list_lag = script.behaviour.list_lag
    api = StandIn(script.behaviour, dice, TWO_APPS if script.has_two_apps else ONE_APP)
    evidence.truth = api.truth
    async with _stalls_watched(evidence), api.serving(), _linked(place) as (link, linked_place):
        replicas = Replicas(script.replicas, linked_place, api, script.settings, evidence.limits)
        evidence.absences = replicas.absences
        try:
            await replicas.start()
            async with _subscribed(place, evidence) as (sender, connection):
                strikes = Strikes(dice, replicas, link, api, script.strike_pause or 0.0)
                await _act(script, dice, api, sender, strikes)
                await _settle(script, api, strikes, evidence, sender)
                for worker in replicas.workers:
                    await asyncio.to_thread(worker.stop, seconds=10)
                await _look_at_queues(connection, place.prefix, evidence)
        finally:
            replicas.kill()
    return evidence


@asynccontextmanager
async def _stalls_watched(evidence: Evidence) -> AsyncIterator[None]:
    """Note the longest time for which this process did nothing."""

    async def watch() -> None:
        while True:
            before = time.time()
            await asyncio.sleep(STALL_LOOK_SECONDS)
            stall = time.time() - before - STALL_LOOK_SECONDS
            evidence.longest_stall = max(evidence.longest_stall, stall)

    task = asyncio.create_task(watch())
    yield
    task.cancel()


@asynccontextmanager
async def _linked(place: Place) -> AsyncIterator[tuple[TcpProxy, Place]]:
    """The place with a proxy before the broker, by which the workers reach it."""
    url = urlsplit(place.amqp_url)
    assert url.port is not None
    async with TcpProxy(url.port) as link:
        login = f"{url.username}:{url.password}@" if url.username else ""
        netloc = f"{login}127.0.0.1:{link.port}"
        amqp_url = urlunsplit(url._replace(netloc=netloc))
        yield link, Place(amqp_url, place.database_url, place.directory, place.prefix)


@asynccontextmanager
async def _subscribed(
    place: Place, evidence: Evidence
) -> AsyncIterator[tuple[Sender, aio_pika.abc.AbstractConnection]]:
    connection = await aio_pika.connect(place.amqp_url)
    async with connection:
        subscriber = Subscriber(place.prefix, evidence.received, evidence.replies, evidence.dead)
        await subscriber.subscribe(await connection.channel())
        channel = await connection.channel()
        commands = await channel.get_exchange(f"{place.prefix}.commands", ensure=False)
        sender = Sender(commands, subscriber.reply_queue, evidence.sent)
        yield sender, connection


async def _act(
    script: Script, dice: random.Random, api: StandIn, sender: Sender, strikes: Strikes
) -> None:
    """The part in which commands are sent and things go wrong."""
    life = MeetingLife(dice, api.world, list(api.apps))
    life.open()
    tasks = [asyncio.create_task(life.live_on())]
    if script.strike_pause is not None:
        tasks.append(asyncio.create_task(strikes.strike_on()))
    drawer = CommandDrawer(dice, api.truth, api.apps)
    end = time.time() + script.seconds
    latest = end + MAX_EXTRA_SECONDS
    try:
        while time.time() < (end if api.truth.of_worker() else latest):
            await sender.send(drawer.draw(), dice)
            await asyncio.sleep(dice.expovariate(1 / script.pause))
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _settle(
    script: Script, api: StandIn, strikes: Strikes, evidence: Evidence, sender: Sender
) -> None:
    """Nothing goes wrong any more; wait until everything has come that must come.

    Files that turned up after the completion come by a sync.
    """
    api.faults.calm = True
    evidence.never_ready = await strikes.repair()
    MeetingLife(strikes.dice, api.world, list(api.apps)).close()
    evidence.calm_from = time.time()
    end = time.time() + script.settle_seconds
    quiet_looks, synced = 0, False
    while time.time() < end and quiet_looks < 3:
        await asyncio.sleep(SETTLE_LOOK_SECONDS)
        quiet_looks = 0 if any(check_missing(evidence)) else quiet_looks + 1
        if not synced and time.time() > evidence.calm_from + SYNC_AFTER_SECONDS:
            synced = True
            for recording in recordings_with_missing_files(evidence):
                await sender.send(sync_of(recording, api.apps), strikes.dice)


async def _look_at_queues(
    connection: aio_pika.abc.AbstractConnection, prefix: str, evidence: Evidence
) -> None:
    channel = await connection.channel()
    queue = await channel.declare_queue(f"{prefix}.commands", passive=True)
    evidence.left_in_queues = queue.declaration_result.message_count or 0
    dead = await channel.get_queue(f"{prefix}.commands.dead", ensure=False)
    await Subscriber(prefix, dead=evidence.dead).take_dead(dead)
