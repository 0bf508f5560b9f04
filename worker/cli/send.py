"""`recording-worker send`."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from worker.cli.context import common_settings, topology_from
from worker.cli.output import json_option, print_json

if TYPE_CHECKING:
    from recording_schemas import CloudEvent, Command
    from worker.broker.admin.one_shot import Connection
    from worker.broker.admin.subscriber import Subscription
    from worker.settings.settings import CommonSettings

TYPES: Final = (
    "start_track_recording",
    "start_recording",
    "stop_recording",
    "pause_recording",
    "resume_recording",
    "sync_recording",
)
EXIT_CODES: Final = {
    "command.succeeded.v1": 0,
    "command.rejected.v1": 3,
    "command.expired.v1": 4,
    "command.failed.v1": 5,
}
NO_OUTCOME: Final = 6

EXAMPLES = """\
\b
TYPE is one of:
  start_track_recording  start_recording  stop_recording  pause_recording  resume_recording
  sync_recording

\b
Examples:
  recording-worker send start_track_recording --meeting-id "$MEETING" \\
    --user-id "$ALICE" --user-id "$BOB" --prefix team_call --wait
  recording-worker send start_recording --meeting-id "$MEETING" --member max_seconds=3600 \\
    --member video_config='{"codec": "VP8", "width": 1280}'
  recording-worker send stop_recording --start-id "$START" --wait --timeout 300
  recording-worker send pause_recording --meeting-id "$MEETING" --kind track
  recording-worker send --file command.json --meeting-id "$MEETING"
  jq -n '{type: "sync_recording", recording_id: $ENV.RECORDING}' | recording-worker send -f -

\b
Exit codes: 0 sent, and with --wait succeeded; with --wait 3 rejected, 4 expired, 5 failed,
6 no outcome in time (the command stands; repeat it with the same --id to ask again). Without an
outcome: 1 not sent, 2 the command is wrong.
"""


@click.command(epilog=EXAMPLES)
@click.argument("command_type", metavar="[TYPE]", required=False, type=click.Choice(TYPES))
@click.option("--meeting-id", help="The meeting to record, or whose recordings are meant.")
@click.option("--recording-id", help="The recording that is meant.")
@click.option("--start-id", help="The recording that the start command with this id began.")
@click.option("--kind", help="With --meeting-id: only its track or composite recordings.")
@click.option(
    "--user-id", "user_ids", multiple=True, help="Record this participant only; may be repeated."
)
@click.option("--prefix", help="What the names of the files begin with.")
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="PATH=JSON",
    help="Any other member, such as video_config.codec=VP8; may be repeated.",
)
@click.option(
    "--file",
    "-f",
    "file",
    type=click.File("rb"),
    help="A JSON file with a command, or - for stdin; flags are put over it.",
)
@click.option("--id", "command_id", help="The id; a repeat of it is not executed again.")
@click.option("--deadline", help="Not to be executed after this time (RFC 3339).")
@click.option(
    "--expires-in",
    type=click.FloatRange(min=0, min_open=True, max=31_536_000),
    metavar="SECONDS",
    help="The same, counted from now.",
)
@click.option("--app", help="Which of the configured apps.")
@click.option("--wait", is_flag=True, help="Wait for the outcome.")
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    metavar="SECONDS",
    help="How long --wait waits.",
)
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    command_type: str | None,
    user_ids: tuple[str, ...],
    prefix: str | None,
    members: tuple[str, ...],
    file: BinaryIO | None,
    wait: bool,
    timeout: float,
    as_json: bool,
    **flags: Any,  # noqa: ANN401 - what click makes of the rest
) -> None:
    """Send a command to the workers.

    It is checked as the workers check it, and confirmed by the broker before this returns.
    """
    from worker.cli.command_builder import build_command, deadline_in

    settings = common_settings()
    expires_in = flags.pop("expires_in")
    if expires_in is not None:
        if flags["deadline"] is not None:
            raise click.UsageError("--deadline and --expires-in exclude each other")
        flags["deadline"] = deadline_in(expires_in)
    made = build_command(
        None if file is None else _read(file, settings.max_command_bytes),
        {"type": command_type, "id": flags.pop("command_id"), **flags},
        user_ids=user_ids,
        prefix=prefix,
        members=members,
    )
    outcome = asyncio.run(_send(settings, made, wait=timeout if wait else None))
    if not wait:
        _print_sent(made, as_json=as_json)
    elif outcome is None:
        click.echo(f"Error: no outcome of {made.id} within {timeout:g} s (--timeout)", err=True)
        context.exit(NO_OUTCOME)
    else:
        context.exit(_print_outcome(outcome, as_json=as_json))


def _read(file: BinaryIO, most: int) -> bytes:
    body = file.read(most + 1)
    if len(body) > most:
        raise click.UsageError(f"--file: more than {most} bytes (WORKER_MAX_COMMAND_BYTES)")
    return body


async def _send(
    settings: "CommonSettings", made: "Command", *, wait: float | None
) -> "CloudEvent | None":
    """Publish, and with `wait` return the outcome, or None when it did not come in time."""
    from worker.broker.admin.one_shot import connect
    from worker.broker.admin.subscriber import subscribe
    from worker.domain.errors import BrokerUnavailable

    async with connect(settings.amqp_url.reveal(), "send") as connection:
        if wait is None:
            await _publish(connection, settings, made, reply_to=None)
            return None
        async with subscribe(connection, []) as replies:
            await _publish(connection, settings, made, reply_to=replies.queue)
            click.echo(f"Sent {made.command_type} {made.id}", err=True)
            try:
                async with asyncio.timeout(wait):
                    return await _outcome(replies, made.id)
            except TimeoutError:
                return None
            except BrokerUnavailable as error:
                raise BrokerUnavailable(
                    f"{error}. The command was sent: repeat it with --id {made.id} for its outcome"
                ) from error


async def _publish(
    connection: "Connection",
    settings: "CommonSettings",
    made: "Command",
    *,
    reply_to: str | None,
) -> None:
    from recording_schemas import encode_command
    from worker.broker.admin.one_shot import publish_once
    from worker.broker.messages import Outgoing
    from worker.domain.errors import TopologyDiffers

    topology = topology_from(settings)
    body = encode_command(made)
    if len(body) > settings.max_command_bytes:
        raise click.UsageError(
            f"the command has {len(body)} bytes, and WORKER_MAX_COMMAND_BYTES allows "
            f"{settings.max_command_bytes}"
        )
    message = Outgoing(
        exchange=topology.exchange("commands"),
        routing_key=made.command_type,
        body=body,
        content_type="application/json",
        message_id=made.id,
        correlation_id=made.id,
        reply_to=reply_to,
        type=made.command_type,
        timestamp=time.time(),
        mandatory=True,
    )
    help_yourself = (
        "no worker has declared it yet. Start one, run `recording-worker topology declare`, or "
        "set WORKER_NAME_PREFIX to the workers' own"
    )
    try:
        taken = await publish_once(connection, message, timeout=settings.publish_timeout_seconds)
    except TopologyDiffers as error:
        raise TopologyDiffers(f"not sent: {error}: {help_yourself}") from error
    if not taken:
        raise TopologyDiffers(
            f"not sent: no queue is bound to {message.exchange!r}: {help_yourself}"
        )


async def _outcome(replies: "Subscription", command_id: str) -> "CloudEvent":
    from recording_schemas import NotAnEvent, Outcome, decode_event

    while True:
        reply = await replies.next()
        try:
            event = decode_event(reply.body)
        except NotAnEvent:
            continue
        if isinstance(event.data, Outcome) and event.data.command_id == command_id:
            return event


def _print_sent(made: "Command", *, as_json: bool) -> None:
    if as_json:
        print_json({"command_id": made.id, "command_type": made.command_type})
    else:
        click.echo(f"Sent {made.command_type} {made.id}")


def _print_outcome(event: "CloudEvent", *, as_json: bool) -> int:
    """Print it and return the exit code that stands for it."""
    from worker.cli.event_format import event_line

    if as_json:
        print_json(event)
    else:
        click.echo(event_line(event))
    return EXIT_CODES[event.type]
