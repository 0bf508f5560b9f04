"""`recording-worker tail`: shows events as they are published."""

import asyncio
import shutil
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

import click

from worker.cli.context import common_settings, stopped_by_signals, topology_from
from worker.cli.output import print_json, table_options
from worker.cli.suggestions import Choice
from worker.cli.tables import is_wide
from worker.cli.times import duration
from worker.domain.escaping import escape_controls

if TYPE_CHECKING:
    from recording_schemas import CloudEvent
    from worker.broker.admin.subscriber import Subscription
    from worker.cli.event_filter import EventFilter

EXCHANGES: Final = ("status", "files", "results")

EXAMPLES = """\
\b
Examples:
  recording-worker tail
  recording-worker tail --meeting-id "$MEETING" --exchange status --exchange files
  recording-worker tail --type recording.file_ready --count 1 --for 10m --json | jq .data.user_id
  recording-worker tail --json >> events.jsonl

`tail` shows the events published from now on. It uses a separate queue, so other subscribers miss
nothing. On a terminal each event is one line; --wide shows the whole one. JSON lines are the events
as published, with complete presigned URLs: anybody with such a URL can download the file. Text
leaves out the query strings of URLs.

\b
Exit codes: 0 after --count, --for, Ctrl-C or SIGTERM; 1 if the connection is lost or an exchange
does not exist; 2 wrong flags or settings.
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
    "exchanges",
    multiple=True,
    type=Choice(EXCHANGES),
    help="Only events of this exchange; may be repeated.",
)
@click.option("--count", type=click.IntRange(min=1), help="End after this many events.")
@click.option(
    "--for",
    "seconds",
    callback=duration(least=0.001),
    metavar="DURATION",
    help="End after this time: seconds, or a duration such as 10m.",
)
@table_options
def command(
    meeting_id: str | None,
    recording_id: str | None,
    types: tuple[str, ...],
    exchanges: tuple[str, ...],
    count: int | None,
    seconds: float | None,
    as_json: bool,
) -> None:
    """Show events as they are published."""
    from worker.cli.event_filter import EventFilter, require_known_types

    require_known_types(types)
    event_filter = EventFilter(meeting_id=meeting_id, recording_id=recording_id, types=types)
    asyncio.run(_tail(exchanges or EXCHANGES, event_filter, count, seconds, as_json=as_json))


async def _tail(
    exchanges: tuple[str, ...],
    event_filter: "EventFilter",
    count: int | None,
    seconds: float | None,
    *,
    as_json: bool,
) -> None:
    from worker.broker.admin.one_shot import connect
    from worker.broker.admin.subscriber import subscribe
    from worker.domain.errors import TopologyDiffers

    settings = common_settings()
    known = topology_from(settings).exchanges
    names = [name for name in known if name.rpartition(".")[2] in exchanges]
    with stopped_by_signals() as stop:
        async with connect(settings.amqp_url.reveal(), "tail") as connection:
            try:
                async with subscribe(connection, names) as events:
                    click.echo(f"Listening on {', '.join(names)}", err=True)
                    showing = _show_events(events, event_filter, count, as_json=as_json)
                    await _run_until(stop, seconds, showing)
            except TopologyDiffers as error:
                raise TopologyDiffers(
                    f"{error}. Start a worker, run `recording-worker topology declare`, or set "
                    "WORKER_NAME_PREFIX to the prefix of the workers"
                ) from error


async def _run_until(
    stop: asyncio.Event, seconds: float | None, showing: Coroutine[None, None, None]
) -> None:
    """Run `showing` until it ends, `seconds` have passed, or a signal arrived."""
    show_task = asyncio.create_task(showing, name="showing")
    stop_task = asyncio.create_task(stop.wait(), name="stopped")
    try:
        await asyncio.wait(
            {show_task, stop_task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if show_task.done():
            show_task.result()
    finally:
        show_task.cancel()
        stop_task.cancel()


async def _show_events(
    events: "Subscription", event_filter: "EventFilter", count: int | None, *, as_json: bool
) -> None:
    from recording_schemas import NotAnEvent, decode_event

    shown_count = 0
    while count is None or shown_count < count:
        message = await events.next()
        try:
            event = decode_event(message.body)
        except NotAnEvent as error:
            text = f"Skipped a message with key {message.routing_key}: {error}"
            click.echo(escape_controls(text), err=True)
            continue
        if event_filter.matches(event):
            if as_json:
                print_json(event)
            else:
                click.echo(_line(event))
            shown_count += 1


def _line(event: "CloudEvent") -> str:
    """One line of a terminal; elsewhere, or with --wide, everything."""
    from worker.cli.event_format import event_line, short_event_line

    if not sys.stdout.isatty() or is_wide():
        return event_line(event)
    return short_event_line(event, shutil.get_terminal_size().columns)
