"""The demo from the first line to the last."""

import asyncio
import signal

import aiohttp
import click
import msgspec

from sandbox.demo.assertions import faults
from sandbox.demo.environment import DemoEnvironment, follow_requests, set_up
from sandbox.demo.instructions import addresses, environment, how_to_play, until_signalled
from sandbox.demo.scenario import gather, play
from sandbox.demo.timeline import Timeline, shower
from sandbox.demo.tracks import Track, download, show_table
from sandbox.services.processes import LaunchError
from sandbox.services.rabbitmq import RabbitMQNode, launch_rabbitmq


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """How it is to be shown: the flags of the command."""

    speed: float
    keep: bool
    as_json: bool


class Disappointment(Exception):
    """The demo did not show what it promises; the text says what is wrong, a line each."""


def perform(wishes: Wishes) -> None:
    """Show it all, and stop everything again.

    Raises:
        Disappointment: when something was not as promised.
        KeyboardInterrupt: by Ctrl-C or SIGTERM.
    """
    timeline = Timeline(shower(as_json=wishes.as_json))
    try:
        timeline.say("setup", "starting RabbitMQ")
        with launch_rabbitmq() as node:
            timeline.say("setup", f"RabbitMQ listens on port {node.port}")
            asyncio.run(_perform(node, wishes, timeline))
    except* (LaunchError, TimeoutError, aiohttp.ClientError, ValueError) as group:
        raise Disappointment("\n".join(_sentences(group))) from group
    except* asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _perform(node: RabbitMQNode, wishes: Wishes, timeline: Timeline) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with set_up(node, wishes.speed, timeline) as stage:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(follow_requests(stage.sandbox.ledger, timeline)),
                group.create_task(_watch(stage)),
            ]
            tracks, wrong = await _show(stage, timeline)
            for one in beside:
                one.cancel()
        _conclude(tracks, wrong, wishes, timeline)
        if wishes.keep:
            _tell_how_to_play(stage, wishes, timeline)
            await until_signalled()


async def _show(stage: DemoEnvironment, timeline: Timeline) -> tuple[list[Track], list[str]]:
    """The story, its files, and what is wrong with them."""
    meetings = stage.sandbox.world.meetings
    cast = gather(meetings)
    try:
        await play(cast, meetings, stage.messages, timeline)
    except TimeoutError as late:
        log = stage.worker.last_words()
        raise LaunchError(f"{late}; the worker's log ends with\n{log}") from late
    events = stage.messages.events
    tracks = await download(events)
    return tracks, faults(cast, events, tracks, stage.sandbox.ledger.files)


async def _watch(stage: DemoEnvironment) -> None:
    code = await stage.worker.ended()
    raise LaunchError(f"the worker ended with {code}:\n{stage.worker.last_words()}")


def _conclude(tracks: list[Track], wrong: list[str], wishes: Wishes, timeline: Timeline) -> None:
    if wishes.as_json:
        told = {"tracks": tracks, "faults": wrong, "seconds": round(timeline.seconds, 3)}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo()
        show_table(tracks)
        click.echo()
    if wrong:
        raise Disappointment("\n".join(wrong))
    timeline.say("setup", "three files, two owners, nobody who was not on the list: as promised")


def _tell_how_to_play(stage: DemoEnvironment, wishes: Wishes, timeline: Timeline) -> None:
    variables, where = environment(stage), addresses(stage)
    if wishes.as_json:
        timeline.say("setup", "everything stays up", environment=variables, addresses=where)
    else:
        click.echo(how_to_play(variables, where))


def _sentences(group: BaseExceptionGroup[BaseException]) -> list[str]:
    said: list[str] = []
    for error in group.exceptions:
        said += _sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return said
