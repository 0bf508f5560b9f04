"""Describes the state of a recording or a start in sentences, and why there is no file. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from recording_schemas import Status
from worker.cli.text import counted, listed_people
from worker.domain.recording import LIVE, Recording
from worker.store.admin.command_pages import ParkedCommand
from worker.store.admin.past_commands import PastCommand
from worker.store.admin.recording_details import KnownFile, RecordingDetails

VerdictLevel = Literal["good", "wait", "note", "bad"]

_LIVE_TEXTS: Final = {
    Status.INVOKED: "The API has accepted the start. The recorder has not begun yet.",
    Status.RECORDING: "It is being recorded now. Its files follow after it has stopped.",
    Status.PAUSED: "It is paused. Its files follow after it has stopped.",
    Status.UPLOADING: "It has stopped, and the API is uploading the files.",
}


class Verdict(msgspec.Struct, frozen=True):
    """One sentence: `good` is done, `wait` in progress, `note` worth knowing, `bad` failed."""

    level: VerdictLevel
    text: str


def recording_verdicts(
    details: RecordingDetails, archive: Sequence[Verdict] = (), now: datetime | None = None
) -> list[Verdict]:
    """The state of a recording and of its files, the most important sentence first.

    `archive` describes the copies. Problems with them go before everything else.
    """
    now = now or datetime.now(UTC)
    recording = details.recording
    return [
        *(verdict for verdict in archive if verdict.level == "bad"),
        *_state(recording, len(details.files)),
        *(verdict for verdict in archive if verdict.level != "bad"),
        *_reasons(recording),
        *_absent_people(details),
        *_expired(details.files, now),
        *_unsent(details),
    ]


def _state(recording: Recording, files: int) -> Iterator[Verdict]:
    if recording.status in LIVE:
        if recording.missing_since:
            yield Verdict("bad", "The API answers that it does not know this recording.")
        yield Verdict("wait", _LIVE_TEXTS[recording.status])
    elif recording.status is Status.ERRORED:
        error = recording.error
        reason = f": {error.message} ({error.code})" if error else ""
        yield Verdict("bad", f"It ended with an error{reason}")
        if not files:
            yield Verdict("bad", "It has no files, because it ended with an error.")
    elif files and recording.completed:
        yield Verdict("good", f"It is complete: {counted(files, 'file')}.")
    elif recording.completed:
        yield Verdict("bad", "It has ended, and the API lists no file of it.")
    else:
        found = f"{counted(files, 'file')} so far" if files else "none so far"
        yield Verdict("wait", f"It has ended. The worker looks for its files: {found}.")


def _reasons(recording: Recording) -> Iterator[Verdict]:
    if recording.unknown_status:
        yield Verdict("note", f"The API reports an unknown status: {recording.unknown_status}.")
    if recording.surplus_of:
        yield Verdict(
            "note", "Its start made a second recording, so the worker stops this one at once."
        )
    if recording.cancelled_by:
        yield Verdict(
            "note", f"The stop {recording.cancelled_by} cancelled its start before it was known."
        )
    if recording.start is None:
        yield Verdict("note", "Another program started it.")


def _absent_people(details: RecordingDetails) -> Iterator[Verdict]:
    people = details.people_without_file() or []
    for joined, words in ((False, "never joined"), (True, "joined, but the API has no file of")):
        names = [_name(person) for person in people if bool(person.get("joined")) is joined]
        if not names:
            continue
        text = f"{listed_people(names)} {words}{' them' if joined else ''}."
        yield Verdict("note", f"Without a file: {text}")


def _name(person: dict[str, Any]) -> str:
    return str(person.get("custom_participant_id") or person.get("user_id") or "somebody")


def _expired(files: tuple[KnownFile, ...], now: datetime) -> Iterator[Verdict]:
    expiring = [file.url_expires_at for file in files if file.url_expires_at is not None]
    over = sum(time <= now.timestamp() for time in expiring)
    if over:
        yield Verdict(
            "bad",
            f"The download URL of {counted(over, 'file')} has expired. A sync_recording command "
            "asks the API for new ones.",
        )


def _unsent(details: RecordingDetails) -> Iterator[Verdict]:
    waiting = sum(event.state != "sent" for event in details.events)
    aside = sum(event.state == "set aside" for event in details.events)
    if aside:
        yield Verdict("bad", f"{counted(aside, 'event')} could never be published.")
    elif waiting:
        yield Verdict("wait", f"{counted(waiting, 'event')} not yet published.")


def command_verdict(command: PastCommand, parked: ParkedCommand | None) -> Verdict:
    """The state of a command."""
    if command.outcome == "succeeded":
        return Verdict("good", "It was executed.")
    if command.outcome is not None:
        reason = ": ".join(part for part in (command.code, command.message) if part)
        text = {
            "rejected": f"It was rejected and not executed. {reason}",
            "expired": "Its deadline passed before it could be executed.",
            "failed": f"The worker gave up after {counted(command.attempts, 'attempt')}. {reason}",
        }[command.outcome]
        return Verdict("bad", text)
    error_text = (
        f" Last error: {command.last_error.code}: {command.last_error.message}"
        if command.last_error
        else ""
    )
    if parked is not None:
        awaited = (
            f"the session of meeting {parked.subject}"
            if parked.waits_for == "session"
            else f"the start {parked.subject}"
        )
        return Verdict("wait", f"It waits for {awaited}.{error_text}")
    if command.state == "running":
        return Verdict("wait", f"A worker is executing it now.{error_text}")
    return Verdict("wait", f"It waits for its next attempt.{error_text}")
