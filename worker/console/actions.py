"""The actions of users with the token. Each action has a preview, and leaves an audit line."""

import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Final

import msgspec
import structlog

from recording_schemas import ArchiveRecording, Command, StopRecording
from worker.cli.dead.format import SENT_BEFORE
from worker.cli.sending import send
from worker.cli.text import counted
from worker.console.dead_letters import DeadLetters, gone_lines
from worker.console.state import ConsoleState
from worker.domain.errors import BrokerUnavailable, StoreUnavailable
from worker.domain.recording import STOPPABLE, Recording
from worker.settings.settings import CommonSettings
from worker.store.admin.past_commands import find_command
from worker.store.admin.recording_details import find_details

MAX_LETTERS: Final = 1000

Fingerprint = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Fingerprints = Annotated[
    tuple[Fingerprint, ...], msgspec.Meta(min_length=1, max_length=MAX_LETTERS)
]
RecordingId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class ReplayLetters(
    msgspec.Struct, frozen=True, kw_only=True, tag="replay", forbid_unknown_fields=True
):
    """Send dead letters back to the queue of commands, optionally under new ids."""

    letters: Fingerprints
    new_id: bool


class DropLetters(
    msgspec.Struct, frozen=True, kw_only=True, tag="drop", forbid_unknown_fields=True
):
    """Remove dead letters permanently."""

    letters: Fingerprints


class StopOne(msgspec.Struct, frozen=True, kw_only=True, tag="stop", forbid_unknown_fields=True):
    """Stop a recording."""

    recording_id: RecordingId


class ArchiveAgain(
    msgspec.Struct, frozen=True, kw_only=True, tag="archive", forbid_unknown_fields=True
):
    """Copy the files of a recording to the archive once more."""

    recording_id: RecordingId


Action = ReplayLetters | DropLetters | StopOne | ArchiveAgain


class ImpossibleAction(Exception):
    """The action cannot be done. The text says why."""


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What an action will do, in sentences."""

    lines: tuple[str, ...]


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What an action has done, in sentences. `command_ids` are the commands that were sent."""

    lines: tuple[str, ...]
    command_ids: tuple[str, ...]


class Actions:
    """Previews and performs actions. Raises ImpossibleAction, and the errors of broker and
    state."""

    def __init__(self, settings: CommonSettings, state: ConsoleState, letters: DeadLetters) -> None:
        self._settings = settings
        self._state = state
        self._letters = letters

    async def preview(self, action: Action) -> Preview:
        """What the action will do. Changes nothing."""
        match action:
            case ReplayLetters():
                lines = await self._letters.replay_preview(
                    set(action.letters), new_id=action.new_id
                )
            case DropLetters():
                lines = await self._letters.drop_preview(set(action.letters))
            case StopOne():
                lines = _stop_lines(await self._recording(action.recording_id))
            case ArchiveAgain():
                lines = _archive_lines(await self._recording(action.recording_id))
        return Preview(lines=tuple(lines))

    async def act(self, action: Action, actor: dict[str, Any]) -> Done:
        """Perform it. `actor` are the fields of the audit line about the user."""
        match action:
            case ReplayLetters():
                name = "replay_with_new_id" if action.new_id else "replay"
                rows = await self._letters.replay(
                    set(action.letters),
                    is_known=self._is_known if action.new_id else None,
                    report=partial(_audit_letter, name, actor),
                )
                return _letters_done("replayed", rows, len(set(action.letters)))
            case DropLetters():
                rows = await self._letters.drop(
                    set(action.letters), report=partial(_audit_letter, "drop", actor)
                )
                return _letters_done("dropped", rows, len(set(action.letters)))
            case StopOne():
                recording = await self._recording(action.recording_id)
                _stop_lines(recording)
                return await self._send("stop", StopRecording, recording, actor)
            case ArchiveAgain():
                recording = await self._recording(action.recording_id)
                return await self._send("archive", ArchiveRecording, recording, actor)

    async def _is_known(self, command_id: str) -> bool | None:
        try:
            return await self._state.read(find_command, command_id) is not None
        except StoreUnavailable:
            return None

    async def _recording(self, recording_id: str) -> Recording:
        found = await self._state.read(find_details, recording_id, max_events=1)
        for details in found.recordings:
            if details.recording.recording_id == recording_id:
                return details.recording
        raise ImpossibleAction("no recording has this id")

    async def _send(
        self, name: str, kind: type[Command], recording: Recording, actor: dict[str, Any]
    ) -> Done:
        fields = {
            "id": f"console-{uuid.uuid4()}",
            "type": f"{name}_recording",
            "recording_id": recording.recording_id,
            "app": recording.app,
        }
        command = msgspec.convert(fields, kind)
        facts = {"recording_id": recording.recording_id, "command_id": command.id}
        try:
            await send(self._settings, command, wait_seconds=None)
        except BrokerUnavailable as error:  # the broker may have it anyway
            audit(name, actor, **facts, result="unconfirmed", detail=str(error))
            raise
        audit(name, actor, **facts)
        return Done(
            lines=(f"The command {command.id} was sent.",),
            command_ids=(command.id,),
        )


def _stop_lines(recording: Recording) -> list[str]:
    if recording.status not in STOPPABLE:
        raise ImpossibleAction(f"it is {recording.status}, which cannot be stopped")
    meeting = f" of meeting {recording.meeting_id}" if recording.meeting_id else ""
    return [
        f"The {recording.kind} recording {recording.recording_id}{meeting} will be stopped.",
        "It cannot continue afterwards: a later start makes a new recording.",
        "Its files follow as soon as the API has uploaded them.",
    ]


def _archive_lines(recording: Recording) -> list[str]:
    return [
        f"The files of recording {recording.recording_id} will be read from the API again.",
        "They will be copied to the archive, also those that are there already.",
        "Each copy is announced by an event with a new id.",
    ]


def _audit_letter(name: str, actor: dict[str, Any], row: dict[str, Any]) -> None:
    audit(
        name,
        actor,
        letter=row["letter"],
        reason_code=row["reason_code"],
        result=row["result"],
        detail=row.get("detail"),
        new_command_id=row.get("new_command_id"),
    )


def _letters_done(word: str, rows: Sequence[dict[str, Any]], selected: int) -> Done:
    refused = [row for row in rows if row["result"] == "refused"]
    done = len(rows) - len(refused)
    lines = [f"{counted(done, 'letter')} {word}."]
    lines += [
        f"{row['letter']} as {row['new_command_id']}: {SENT_BEFORE}."
        for row in rows
        if row.get("sent_before")
    ][:10]
    lines += [f"{row['letter']} stays: {row['detail']}." for row in refused[:10]]
    lines += gone_lines(rows, selected)
    return Done(lines=tuple(lines), command_ids=tuple(_replayed_ids(rows)))


def _replayed_ids(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        command_id = row.get("new_command_id") or row["command_id"]
        if row["result"] == "replayed" and command_id:
            yield command_id


def audit(action: str, actor: dict[str, Any], **facts: Any) -> None:  # noqa: ANN401 - any field
    """Log an action that was done, and by whom."""
    known = {name: value for name, value in facts.items() if value is not None}
    structlog.get_logger().info("console_action", action=action, **actor, **known)
