"""The demo from the first line to the last."""

import asyncio
import signal

import aiohttp
import click
import msgspec

from sandbox.demo.assertions import find_deviations
from sandbox.demo.environment import DemoEnvironment, follow_requests, start_environment
from sandbox.demo.instructions import addresses, tool_variables, usage_text, wait_for_signal
from sandbox.demo.scenario import create_meeting, run_scenario
from sandbox.demo.timeline import Timeline, entry_printer
from sandbox.demo.tracks import Track, download, print_table
from sandbox.services.processes import LaunchError
from sandbox.services.rabbitmq import RabbitMQNode
from sandbox.services.rabbitmq_launch import launch_rabbitmq


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How it is to be shown: the flags of the command."""

    speed: float
    keep: bool
    as_json: bool


class DemoFailed(Exception):
    """The demo did not show what it promises; the text says what is wrong, a line each."""


def run_demo(wishes: DemoOptions) -> None:
    """Show it all, and stop everything again.

    Raises:
        Disappointment: when something was not as promised.
        KeyboardInterrupt: by Ctrl-C or SIGTERM.
    """
    timeline = Timeline(entry_printer(as_json=wishes.as_json))
    try:
        timeline.say("setup", "starting RabbitMQ")
        with launch_rabbitmq() as node:
            timeline.say("setup", f"RabbitMQ listens on port {node.port}")
            asyncio.run(_perform(node, wishes, timeline))
    except* (LaunchError, TimeoutError, aiohttp.ClientError, ValueError) as group:
        raise DemoFailed("\n".join(_sentences(group))) from group
    except* asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _perform(node: RabbitMQNode, wishes: DemoOptions, timeline: Timeline) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with start_environment(node, wishes.speed, timeline) as stage:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(follow_requests(stage.sandbox.request_log, timeline)),
                group.create_task(_watch(stage)),
            ]
            tracks, wrong = await _show(stage, timeline)
            for one in beside:
                one.cancel()
        _conclude(tracks, wrong, wishes, timeline)
        if wishes.keep:
            _tell_how_to_play(stage, wishes, timeline)
            await wait_for_signal()


async def _show(stage: DemoEnvironment, timeline: Timeline) -> tuple[list[Track], list[str]]:
    """The story, its files, and what is wrong with them."""
    meetings = stage.sandbox.meetings
    cast = create_meeting(meetings)
    try:
        await run_scenario(cast, meetings, stage.messages, timeline)
    except TimeoutError as late:
        log = stage.worker.log_tail()
        raise LaunchError(f"{late}; the worker's log ends with\n{log}") from late
    events = stage.messages.events
    tracks = await download(events)
    return tracks, find_deviations(cast, events, tracks, stage.sandbox.request_log.files)


async def _watch(stage: DemoEnvironment) -> None:
    code = await stage.worker.ended()
    raise LaunchError(f"the worker ended with {code}:\n{stage.worker.log_tail()}")


def _conclude(
    tracks: list[Track], wrong: list[str], wishes: DemoOptions, timeline: Timeline
) -> None:
    if wishes.as_json:
        told = {"tracks": tracks, "faults": wrong, "seconds": round(timeline.seconds, 3)}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo()
        print_table(tracks)
        click.echo()
    if wrong:
        raise DemoFailed("\n".join(wrong))
    timeline.say("setup", "three files, two owners, nobody who was not on the list: as promised")


def _tell_how_to_play(stage: DemoEnvironment, wishes: DemoOptions, timeline: Timeline) -> None:
    variables, where = tool_variables(stage), addresses(stage)
    if wishes.as_json:
        timeline.say("setup", "everything stays up", environment=variables, addresses=where)
    else:
        click.echo(usage_text(variables, where))


def _sentences(group: BaseExceptionGroup[BaseException]) -> list[str]:
    said: list[str] = []
    for error in group.exceptions:
        said += _sentences(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return said
