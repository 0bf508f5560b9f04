"""Sends `archive_recording` for recordings, over one connection."""

import uuid
from collections.abc import AsyncIterator, Sequence

import click

from recording_schemas import ArchiveRecording, Malformed, encode_command
from worker.broker.admin.one_shot import connect
from worker.cli.output import Row
from worker.cli.sending import NO_QUEUE_HINT, publish
from worker.domain.errors import TopologyDiffers
from worker.settings.settings import CommonSettings


def build_commands(recordings: Sequence[tuple[str, str | None]]) -> list[ArchiveRecording]:
    """A command for each recording and its app, with a random id. Raises click.UsageError."""
    return [_build(recording_id, app) for recording_id, app in recordings]


def _build(recording_id: str, app: str | None) -> ArchiveRecording:
    command = ArchiveRecording(id=str(uuid.uuid4()), recording_id=recording_id, app=app)
    try:
        encode_command(command)
    except Malformed as error:
        raise click.UsageError(f"{recording_id[:60]!r}: {error.message}") from error
    return command


async def send_all(
    settings: CommonSettings, commands: Sequence[ArchiveRecording]
) -> AsyncIterator[Row]:
    """Publish the commands one by one, and yield each that the broker confirmed."""
    async with connect(settings.amqp_url.reveal(), "archive") as connection:
        for command in commands:
            try:
                await publish(connection, settings, command, reply_to=None)
            except TopologyDiffers as error:
                raise TopologyDiffers(f"not sent: {error}: {NO_QUEUE_HINT}") from error
            yield {"recording_id": command.recording_id, "command_id": command.id}
