"""Each fact has one event id, and the events of a recording are about it and in order."""

from collections.abc import Iterator

from tests.oracle.evidence import Evidence, Received, Sent
from tests.oracle.start_keys import has_double, key_of_recording, starts_by_key
from tests.oracle.truth import Recording

FOLLOWING: tuple[str, ...] = (
    "stop_recording",
    "pause_recording",
    "resume_recording",
    "sync_recording",
    "archive_recording",
)
"""Commands after which the worker may follow another program's recording."""


def check_events(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    by_key = starts_by_key(evidence)
    for recording_id, events in evidence.events().items():
        recording = evidence.truth.recordings.get(recording_id)
        if recording is None:
            yield f"events of {recording_id}, which does not exist"
            continue
        starts = by_key.get(key_of_recording(recording), []) if recording.by_worker else []
        is_double = has_double(recording, evidence)
        if not (recording.by_worker or is_double or _may_follow(recording, evidence)):
            yield f"events of {recording_id} of another program, which nobody asked for"
        yield from _wrong_order(recording_id, events)
        yield from _two_ids(recording_id, events)
        for event in () if is_double else events:
            yield from _wrong_members(event, recording, starts)


def _may_follow(recording: Recording, evidence: Evidence) -> bool:
    return evidence.limits.follows_all or any(
        sent.type in FOLLOWING
        and sent.command is not None
        and (
            sent.command.get("recording_id") == recording.id
            or sent.command.get("meeting_id") == recording.meeting.id
        )
        for sent in evidence.sent
    )


def _wrong_order(recording_id: str, events: list[Received]) -> Iterator[str]:
    sequences = [str(event.event.get("sequence")) for event in events]
    if sequences != sorted(set(sequences)):
        yield f"events of {recording_id} arrived as {sequences}"


def _two_ids(recording_id: str, events: list[Received]) -> Iterator[str]:
    facts: dict[tuple[object, ...], set[str]] = {}
    for event in events:
        facts.setdefault(_fact(event), set()).add(event.id)
    for fact, ids in facts.items():
        if len(ids) > 1:
            yield f"{recording_id} has {len(ids)} events of {fact}"


def _fact(event: Received) -> tuple[object, ...]:
    """What the event tells. A status that can return is told apart by its place."""
    data = event.data
    if event.kind == "recording.status_changed.v1":
        returns = data["status"] in {"RECORDING", "PAUSED"}
        error = (data.get("error") or {}).get("code") if data["status"] == "ERRORED" else None
        return event.kind, data["status"], error, returns and event.event.get("sequence")
    if event.kind == "recording.file_ready.v1":
        return event.kind, data["file_name"]
    if event.kind == "recording.file_url_renewed.v1":
        return event.kind, data["file_name"], data["download_url"]
    return event.kind, data.get("file_count"), data.get("status")


def _wrong_members(event: Received, recording: Recording, starts: list[Sent]) -> Iterator[str]:
    data = event.data
    expected: dict[str, set[str | None]] = {
        "recording_id": {recording.id},
        "kind": {recording.kind},
        "meeting_id": {recording.meeting.id} if starts else {recording.meeting.id, None},
        "start_id": {sent.id for sent in starts} or {None},
    }
    if "session_id" in data:
        expected["session_id"] = {recording.meeting.session_id, None}
    for name, values in expected.items():
        if data.get(name) not in values:
            yield f"{event.kind} of {recording.id} has the {name} {data.get(name)}"
    owners = [sent for sent in starts if sent.id == data.get("start_id")]
    metadata = [(sent.command or {}).get("metadata") for sent in owners] or [None]
    if data.get("metadata") not in metadata:
        yield f"{event.kind} of {recording.id} has the metadata {data.get('metadata')}"
    correlations: set[str | None] = {sent.correlation_id or sent.id for sent in owners}
    if event.correlation_id not in (correlations or {None}):
        yield f"{event.kind} of {recording.id} has the correlation {event.correlation_id}"
