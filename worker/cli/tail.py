"""`recording-worker tail`."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings, stopped_by_signals, topology_from
from worker.cli.output import json_option, print_json

if TYPE_CHECKING:
    from worker.broker.admin.subscriber import Subscription
    from worker.cli.event_filter import EventFilter

EXCHANGES: Final = ("status", "files", "results")

EXAMPLES = """\
\b
Examples:
  recording-worker tail
  recording-worker tail --meeting-id "$MEETING" --exchange status --exchange files
  recording-worker tail --type recording.file_ready --count 1 --for 600 --json | jq .data.user_id
  recording-worker tail --json >> events.jsonl

It sees what is published from now on, through a queue of its own; no other subscriber misses
anything. JSON lines are the events as published, with presigned URLs complete: who has such a URL
may download the file. Text leaves out their query strings.

\b
Exit codes: 0 at the end that was asked for (--count, --for, Ctrl-C, SIGTERM), 1 when the
connection is lost or an exchange does not exist, 2 when a flag or setting is wrong.
"""


@click.command(epilog=EXAMPLES)
@click.option("--meeting-id", help="Only events of this meeting.")
@click.option("--recording-id", help="Only events and outcomes of this recording.")
@click.option(
    "--type",
    "types",
    multiple=True,
    help="Only events of this type, with or without its version; may be repeated.",
)
@click.option(
    "--exchange",
    "purposes",
    multiple=True,
    type=click.Choice(EXCHANGES),
    help="Listen to this one only; may be repeated.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many events.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End after so long.",
)
@json_option
def command(
    meeting_id: str | None,
    recording_id: str | None,
    types: tuple[str, ...],
    purposes: tuple[str, ...],
    count: int | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Show events as they are published."""
    from worker.cli.event_filter import EventFilter, require_known_types

    require_known_types(types)
    interest = EventFilter(meeting_id=meeting_id, recording_id=recording_id, types=types)
    asyncio.run(_tail(purposes or EXCHANGES, interest, count, seconds, as_json=as_json))


async def _tail(
    purposes: tuple[str, ...],
    interest: "EventFilter",
    count: int | None,
    seconds: float | None,
    *,
    as_json: bool,
) -> None:
    from worker.broker.admin.one_shot import connect
    from worker.broker.admin.subscriber import subscribe
    from worker.domain.errors import TopologyDiffers

    settings = common_settings()
    topology = topology_from(settings)
    exchanges = [name for name in topology.exchanges if name.rpartition(".")[2] in purposes]
    with stopped_by_signals() as stop:
        async with connect(settings.amqp_url.reveal(), "tail") as connection:
            try:
                async with subscribe(connection, exchanges) as events:
                    click.echo(f"Listening on {', '.join(exchanges)}", err=True)
                    showing = _show(events, interest, count, as_json=as_json)
                    await _until(stop, seconds, showing)
            except TopologyDiffers as error:
                raise TopologyDiffers(
                    f"{error}. Start a worker, run `recording-worker topology declare`, or set "
                    "WORKER_NAME_PREFIX to the workers' own"
                ) from error


async def _until(
    stop: asyncio.Event, seconds: float | None, showing: Coroutine[None, None, None]
) -> None:
    """Let it show until it has shown enough, the time is up, or a signal came."""
    shown = asyncio.create_task(showing, name="showing")
    stopped = asyncio.create_task(stop.wait(), name="stopped")
    try:
        await asyncio.wait({shown, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if shown.done():
            shown.result()
    finally:
        shown.cancel()
        stopped.cancel()


async def _show(
    events: "Subscription", interest: "EventFilter", count: int | None, *, as_json: bool
) -> None:
    from recording_schemas import NotAnEvent, decode_event
    from worker.cli.event_format import event_line

    shown = 0
    while count is None or shown < count:
        message = await events.next()
        try:
            event = decode_event(message.body)
        except NotAnEvent as error:
            click.echo(f"Skipped a message with key {message.routing_key!r}: {error}", err=True)
            continue
        if interest.matches(event):
            if as_json:
                print_json(event)
            else:
                click.echo(event_line(event))
            shown += 1
