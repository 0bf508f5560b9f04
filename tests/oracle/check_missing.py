"""What has to come has come: outcomes, replies, last statuses, files and completions."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.oracle.evidence import Evidence, Received
from tests.oracle.shown import shown_statuses
from tests.oracle.truth import ENDED, RecordedFile, Recording

CONCLUDED: Final = {"stalled", "vanished"}
"""Error codes of ends that the worker has concluded itself."""
FOLLOWED_SECONDS: Final = 6.0
"""Longer than the sweeps of a history need to notice a recording of another program."""


def check_missing(evidence: Evidence) -> Iterator[str]:
    """Yield what is missing."""
    for replica in evidence.never_ready:
        yield f"replica {replica} does not become ready"
    yield from _outcomes(evidence)
    yield from _replies(evidence)
    events = evidence.events()
    for recording in evidence.truth.recordings.values():
        if is_tracked(recording, evidence, events.get(recording.id, [])):
            yield from _end(recording, events.get(recording.id, []), evidence)


def is_tracked(recording: Recording, evidence: Evidence, events: list[Received]) -> bool:
    """Whether its events are due: of every recording of a worker, and of any that has events.

    With WORKER_FOLLOW_ALL, so are those of other recordings, if they were live for long.
    """
    lasted = (recording.first(*ENDED) or evidence.calm_from) - recording.began
    is_followed = evidence.limits.follows_all and lasted > FOLLOWED_SECONDS
    return recording.by_worker or bool(events) or is_followed


def _outcomes(evidence: Evidence) -> Iterator[str]:
    outcomes = evidence.outcomes()
    for command_id in evidence.commands():
        if command_id not in outcomes:
            yield f"no outcome of {command_id}"


def _replies(evidence: Evidence) -> Iterator[str]:
    due = Counter(
        (sent.id, sent.correlation_id or sent.id)
        for sent in evidence.sent
        if sent.reply_to is not None
    )
    came = Counter(
        (reply.data.get("command_id"), reply.correlation_id)
        for reply in evidence.replies
        if reply.kind.startswith("command.")
    )
    for (command_id, correlation), count in due.items():
        if came[command_id, correlation] < count:
            yield f"{count - came[command_id, correlation]} replies missing to {command_id}"


def _end(recording: Recording, events: list[Received], evidence: Evidence) -> Iterator[str]:
    changes = [event for event in events if event.kind == "recording.status_changed.v1"]
    if not changes:
        yield f"no status of {recording.id} ({recording.status})"
        return
    last = changes[-1].data
    is_concluded = (last.get("error") or {}).get("code") in CONCLUDED
    if is_concluded and not _is_shown_after(changes[-1].at, recording, evidence):
        return  # the worker asks for the truth for a day, longer and longer apart
    if recording.status in ENDED and last["status"] != recording.status:
        yield f"{recording.id} is {recording.status}, and the last event says {last['status']}"
    if recording.status not in ENDED and not is_concluded:
        yield f"{recording.id} stays {recording.status}, and no end of it was concluded"
    if not any(event.kind == "recording.completed.v1" for event in events):
        yield f"no completion of {recording.id} ({recording.status})"
    for file in _missing_files(recording, events):
        yield f"no event of file {file.name or file.media} of {recording.id}"


def recordings_with_missing_files(evidence: Evidence) -> Iterator[Recording]:
    """The recordings with a file that has no event yet."""
    events = evidence.events()
    for recording in evidence.truth.recordings.values():
        own = events.get(recording.id, [])
        if is_tracked(recording, evidence, own) and any(_missing_files(recording, own)):
            yield recording


def _missing_files(recording: Recording, events: list[Received]) -> Iterator[RecordedFile]:
    ready = [event.data for event in events if event.kind == "recording.file_ready.v1"]
    names = {data["file_name"] for data in ready}
    media = {data["media_kind"] for data in ready}
    for file in recording.files:
        if file.name not in names and (file.name or file.media not in media):
            yield file


def _is_shown_after(at: float, recording: Recording, evidence: Evidence) -> bool:
    """Whether the worker was shown the real end of a recording after it had concluded another."""
    shown = shown_statuses(recording, evidence)
    return any(status == recording.status in ENDED and when > at for status, when in shown)
