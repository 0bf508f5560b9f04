"""`recording-worker send`: sends a command. With --wait it also waits for the outcome."""

import asyncio
import shlex
import textwrap
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from recording_schemas import COMMAND_TYPES
from worker.cli.context import common_settings
from worker.cli.ids import complete_if_readable
from worker.cli.output import json_option, print_json
from worker.cli.suggestions import Choice
from worker.cli.times import duration

if TYPE_CHECKING:
    from recording_schemas import CloudEvent, Command
    from worker.store.admin.short_ids import IdKind

EXIT_CODES: Final = {
    "command.succeeded.v1": 0,
    "command.rejected.v1": 3,
    "command.expired.v1": 4,
    "command.failed.v1": 5,
}
NO_OUTCOME: Final = 6
OTHER_BODY: Final = 7
ID_FLAGS: "Final[dict[str, IdKind]]" = {
    "--recording-id": "recording",
    "--start-id": "command",
    "--meeting-id": "meeting",
}
"""The flags that accept the short ids of tables, if the database of DATABASE_URL can be read."""

EXAMPLES = f"""\
\b
TYPE is one of:
{textwrap.fill("  ".join(COMMAND_TYPES), 95, initial_indent="  ", subsequent_indent="  ")}

\b
Examples:
  recording-worker send start_track_recording --meeting-id "$MEETING" \\
    --user-id "$ALICE" --user-id "$BOB" --prefix team_call --wait
  recording-worker send start_track_recording --meeting-id "$MEETING" \\
    --custom-participant-id alice@example.com --wait
  recording-worker send start_track_recording --meeting-id "$MEETING" --metadata case=2026-0117 \\
    --metadata team=support --field max_seconds=5400
  recording-worker send start_track_recording --meeting-id "$MEETING" --wait-for-session \\
    --expires-in 2h
  recording-worker send start_recording --meeting-id "$MEETING" --field max_seconds=3600 \\
    --field video_config='{{"codec": "VP8", "width": 1280}}'
  recording-worker send stop_recording --start-id "$START" --wait --timeout 5m
  recording-worker send pause_recording --meeting-id "$MEETING" --kind track
  recording-worker send sync_recording --recording-id "$RECORDING" --wait
  recording-worker send replay_recording --start-id "$START" --wait
  recording-worker send archive_recording --recording-id "$RECORDING" --wait
  recording-worker send --file command.json --meeting-id "$MEETING"
  jq -n '{{type: "stop_recording", meeting_id: $ENV.MEETING}}' | recording-worker send -f -

\b
Exit codes: 0 sent; 1 not sent; 2 the command is wrong. With --wait: 0 succeeded, 3 rejected,
4 expired, 5 failed, 6 no outcome in time, 7 another command with the same --id arrived first: the
outcome is that command's, and this one was not executed. After 6 the command is still valid: to get
its outcome, send it again with the same --id.
"""


@click.command(epilog=EXAMPLES)
@click.argument("type", metavar="[TYPE]", required=False, type=Choice(list(COMMAND_TYPES)))
@click.option(
    "--meeting-id", help="The meeting to record, or the meeting of the recordings to act on."
)
@click.option("--recording-id", help="The recording to act on.")
@click.option("--start-id", help="Act on the recording of the start command with this id.")
@click.option(
    "--kind", help="With --meeting-id: act only on recordings of this kind, track or composite."
)
@click.option(
    "--user-id",
    "user_ids",
    multiple=True,
    help="Record only the participant with this RealtimeKit id; may be repeated.",
)
@click.option(
    "--custom-participant-id",
    "custom_participant_ids",
    multiple=True,
    help="Record only the participants with this id from your own system; may be repeated.",
)
@click.option(
    "--wait-for-session",
    is_flag=True,
    default=None,
    help="Execute the start when the meeting's session begins. Its outcome follows then.",
)
@click.option("--prefix", help="Prefix of the file names.")
@click.option(
    "--metadata",
    multiple=True,
    metavar="NAME=VALUE",
    help="A text to repeat in every event of the recording; may be repeated.",
)
@click.option(
    "--field",
    "assignments",
    multiple=True,
    metavar="PATH=VALUE",
    help="Any other field, such as max_seconds=5400 or video_config.codec=VP8; may be repeated.",
)
@click.option(
    "--file",
    "-f",
    "file",
    type=click.File("rb"),
    help="A JSON file with a command, or - for stdin. Flags override its fields.",
)
@click.option("--id", help="The command id. A repeated id is not executed again.")
@click.option("--deadline", help="Do not execute the command after this time (RFC 3339).")
@click.option(
    "--expires-in",
    callback=duration(least=0.001, most=31_536_000),
    metavar="DURATION",
    help="The deadline, from now: seconds, or a duration such as 2h.",
)
@click.option("--app", help="The app to use, if several are configured.")
@click.option("--wait", is_flag=True, help="Wait for the outcome.")
@click.option(
    "--timeout",
    default="60s",
    show_default=True,
    callback=duration(least=0.001, most=86_400),
    metavar="DURATION",
    help="How long --wait waits: seconds, or a duration such as 5m.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    file: BinaryIO | None,
    wait: bool,
    timeout: float,
    as_json: bool,
    **flags: Any,  # noqa: ANN401 - the flags of the command itself
) -> None:
    """Send a command to the workers.

    `send` checks the command by the rules of the workers. It returns when the broker has confirmed
    the command.
    """
    from worker.cli.sending import send

    settings = common_settings()
    for flag, kind in ID_FLAGS.items():
        name = flag.removeprefix("--").replace("-", "_")
        flags[name] = complete_if_readable(settings, flag, flags[name], kind)
    built = _build(file, settings.max_command_bytes, **flags)
    outcome = asyncio.run(send(settings, built, wait_seconds=timeout if wait else None))
    if not wait:
        _print_sent(built, as_json=as_json)
    elif outcome is None:
        click.echo(
            f"Error: no outcome of {built.id} within {timeout:g} s (--timeout). The command stays "
            f"valid: send it again with --id {built.id} to wait longer. {_what_to_check(built)}",
            err=True,
        )
        context.exit(NO_OUTCOME)
    else:
        _print_outcome(outcome.event, as_json=as_json)
        if outcome.id_conflict:
            click.echo(_id_conflict_text(built), err=True)
        context.exit(OTHER_BODY if outcome.id_conflict else EXIT_CODES[outcome.event.type])


def _id_conflict_text(command: "Command") -> str:
    return (
        f"Error: another command with the id {command.id} arrived first, and this is its "
        "outcome. Your command was not executed: send it with another --id."
    )


def _what_to_check(command: "Command") -> str:
    """How to find out what the command waits for."""
    if getattr(command, "wait_for_session", False):
        return (
            "A start with wait_for_session has no outcome before its meeting begins. "
            f"`recording-worker recordings show {shlex.quote(command.id)}` shows whether it waits."
        )
    check = "`recording-worker topology check` shows whether a worker consumes"
    start_id = getattr(command, "start_id", None)
    if start_id is None or command.command_type == "replay_recording":  # a replay waits for nothing
        return f"{check}."
    show = f"`recording-worker recordings show {shlex.quote(start_id)}`"
    return f"{check}, and {show} whether the start has arrived that the command waits for."


def _build(
    file: BinaryIO | None,
    max_bytes: int,
    *,
    expires_in: float | None,
    **flags: Any,  # noqa: ANN401 - the flags of the command itself
) -> "Command":
    from worker.cli.command_builder import build_command, deadline_in

    if expires_in is not None:
        if flags["deadline"] is not None:
            raise click.UsageError("give --deadline or --expires-in, not both")
        flags["deadline"] = deadline_in(expires_in)
    return build_command(None if file is None else _read(file, max_bytes), **flags)


def _read(file: BinaryIO, max_bytes: int) -> bytes:
    body = file.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise click.UsageError(f"--file: more than {max_bytes} bytes (WORKER_MAX_COMMAND_BYTES)")
    return body


def _print_sent(command: "Command", *, as_json: bool) -> None:
    if as_json:
        print_json({"command_id": command.id, "command_type": command.command_type})
    else:
        click.echo(f"Sent {command.command_type} {command.id}")


def _print_outcome(event: "CloudEvent", *, as_json: bool) -> None:
    from worker.cli.event_format import event_line

    if as_json:
        print_json(event)
    else:
        click.echo(event_line(event))
