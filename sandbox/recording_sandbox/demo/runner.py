"""The demo from start to end."""

import asyncio
import os
import signal
from collections.abc import Mapping

import aiohttp
import click
import msgspec
from aio_pika.exceptions import AMQPError

from recording_sandbox.demo.archive import (
    find_archive_deviations,
    print_manifest,
    read_manifest,
)
from recording_sandbox.demo.assertions import find_deviations
from recording_sandbox.demo.console_process import open_console, show_in_browser
from recording_sandbox.demo.environment import (
    DemoEnvironment,
    start_environment,
)
from recording_sandbox.demo.instructions import (
    addresses,
    tool_variables,
    usage_text,
    wait_for_signal,
)
from recording_sandbox.demo.narration import narrate_requests
from recording_sandbox.demo.scenario import create_meeting, run_scenario
from recording_sandbox.demo.timeline import Timeline, entry_printer
from recording_sandbox.demo.tracks import Track, download, print_tracks
from recording_sandbox.demo.worker_settings import SWEEP_INTERVAL_SECONDS
from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_schemas import Manifest


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of the command."""

    speed: float
    keep: bool
    as_json: bool


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """The downloaded files, the manifest of the archive, and the faults found."""

    tracks: list[Track]
    manifest: Manifest | None
    deviations: list[str]


class DemoFailed(Exception):
    """The demo had a wrong result. The text has one line for each deviation."""


def run_demo(options: DemoOptions) -> None:
    """Run the demo, and stop everything again.

    Raises:
        DemoFailed: if something could not be started, or was not as promised.
        KeyboardInterrupt: after Ctrl-C or SIGTERM.
    """
    timeline = Timeline(entry_printer(as_json=options.as_json))
    try:
        if not os.environ.get("AMQP_URL"):
            timeline.add("setup", "starting RabbitMQ")
        with launch_rabbitmq() as node:
            where = "is that of AMQP_URL" if node.external else f"listens on port {node.port}"
            timeline.add("setup", f"RabbitMQ {where}")
            asyncio.run(_run(node, options, timeline))
    except* (
        LaunchError,
        TimeoutError,
        aiohttp.ClientError,
        AMQPError,
        OSError,
        ValueError,
    ) as group:
        raise DemoFailed("\n".join(_messages(group))) from group
    except* asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _run(node: RabbitMQNode, options: DemoOptions, timeline: Timeline) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 -- a coroutine runs in a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with start_environment(node, options.speed, timeline) as environment:
        result = await _record_while_watched(environment, timeline)
        _print_result(result, options, timeline)
        if options.keep:
            await _keep_running(environment, options, timeline)
        elif not options.as_json:
            click.echo("To see it in a browser: recording-worker demo --keep")


async def _keep_running(
    environment: DemoEnvironment, options: DemoOptions, timeline: Timeline
) -> None:
    variables = tool_variables(environment)
    async with open_console(
        variables, environment.worker.directory, worker_url=environment.worker.url
    ) as console:
        _print_instructions(variables, {**addresses(environment), **console}, options, timeline)
        show_in_browser(console["console_url"])
        await wait_for_signal()


async def _record_while_watched(environment: DemoEnvironment, timeline: Timeline) -> DemoResult:
    """Record, while API requests are narrated and the end of the worker is an error."""
    async with asyncio.TaskGroup() as group:
        watchers = [
            group.create_task(_narrate(environment, timeline), name="demo-narration"),
            group.create_task(_fail_when_worker_ends(environment), name="demo-worker-watch"),
        ]
        result = await _record(environment, timeline)
        for watcher in watchers:
            watcher.cancel()
    return result


async def _narrate(environment: DemoEnvironment, timeline: Timeline) -> None:
    await narrate_requests(
        environment.sandbox.request_log, timeline, sweep_interval_seconds=SWEEP_INTERVAL_SECONDS
    )


async def _fail_when_worker_ends(environment: DemoEnvironment) -> None:
    code = await environment.worker.ended()
    raise LaunchError(f"the worker ended with {code}:\n{environment.worker.log_tail()}")


async def _record(environment: DemoEnvironment, timeline: Timeline) -> DemoResult:
    meetings, client = environment.sandbox.meetings, environment.client
    participants = create_meeting(meetings)
    try:
        await run_scenario(participants, meetings, client, timeline, archives=environment.archives)
    except TimeoutError as error:
        log = environment.worker.log_tail()
        raise LaunchError(f"{error}; the worker's log ends with\n{log}") from error
    tracks = await download(client.events)
    recorded = environment.sandbox.request_log.files
    deviations = find_deviations(participants, client.events, tracks, recorded)
    manifest = await read_manifest(client.events) if environment.archives else None
    if manifest is not None:
        deviations += await find_archive_deviations(manifest, tracks)
    return DemoResult(tracks=tracks, manifest=manifest, deviations=deviations)


def _print_result(result: DemoResult, options: DemoOptions, timeline: Timeline) -> None:
    if options.as_json:
        seconds = round(timeline.seconds, 3)
        body = {**msgspec.structs.asdict(result), "seconds": seconds}
        click.echo(msgspec.json.encode(body).decode())
    else:
        _print_tables(result)
    if result.deviations:
        raise DemoFailed("\n".join(result.deviations))
    timeline.add("setup", "as promised: three files of ana and ben, and no file of cleo")


def _print_tables(result: DemoResult) -> None:
    click.echo()
    print_tracks(result.tracks)
    click.echo()
    if result.manifest is not None:
        click.echo("The manifest of the archive: who was there, and the copy of each file")
        click.echo()
        print_manifest(result.manifest)
        click.echo()


def _print_instructions(
    variables: Mapping[str, str],
    urls: Mapping[str, str],
    options: DemoOptions,
    timeline: Timeline,
) -> None:
    if options.as_json:
        timeline.add("setup", "everything keeps running", environment=variables, addresses=urls)
    else:
        click.echo(usage_text(variables, urls))


def _messages(group: BaseExceptionGroup[BaseException]) -> list[str]:
    messages: list[str] = []
    for error in group.exceptions:
        messages += _messages(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return messages
