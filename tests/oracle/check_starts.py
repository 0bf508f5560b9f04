"""One start command starts at most one recording, and its outcome tells the truth about it."""

from collections.abc import Iterator
from typing import Final

from tests.oracle.check_outcomes import deadline_of
from tests.oracle.evidence import STARTS, Evidence, Received, Sent
from tests.oracle.start_keys import has_double, key_of_recording, key_of_request, starts_by_key
from tests.oracle.truth import Kind, Recording

LATE_SECONDS: Final = 0.3
KINDS: Final[dict[str, Kind]] = {"start_track": "track", "start_composite": "composite"}


def check_starts(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    by_key = starts_by_key(evidence)
    yield from _wrong_requests(evidence, by_key)
    yield from _too_many(evidence, by_key)
    owners: dict[str, str] = {}
    outcomes = evidence.outcomes()
    for command_id, messages in evidence.commands().items():
        outcome = outcomes.get(command_id)
        if messages[0].type in STARTS and outcome is not None:
            yield from _wrong_ids(outcome, messages, evidence, owners)
            yield from _wrong_reason(outcome, messages, evidence)


def _wrong_requests(evidence: Evidence, by_key: dict[str, list[Sent]]) -> Iterator[str]:
    for request in evidence.truth.requests:
        kind = KINDS.get(request.operation)
        if kind is None:
            continue
        if request.executed and request.status == 422:
            yield f"a start that the API's schema forbids: {request.body}"
            continue
        commands = by_key.get(key_of_request(kind, request.body), [])
        if not commands:
            yield f"a start that nobody asked for: {request.body}"
        deadlines = [deadline_of(sent) for sent in commands]
        late = LATE_SECONDS + evidence.longest_stall
        if deadlines and all(each is not None and each + late < request.at for each in deadlines):
            yield f"start of {commands[0].id} after its deadline"


def _too_many(evidence: Evidence, by_key: dict[str, list[Sent]]) -> Iterator[str]:
    recordings: dict[str, list[Recording]] = {}
    for recording in evidence.truth.of_worker():
        recordings.setdefault(key_of_recording(recording), []).append(recording)
    outcomes = evidence.outcomes()
    for key, found in recordings.items():
        ids = {sent.id for sent in by_key.get(key, [])}
        if len(found) > len(ids):
            yield f"{len(found)} recordings of {len(ids)} starts {sorted(ids)}"
        verdicts = [outcomes[each] for each in ids if each in outcomes]
        succeeded = sum(verdict.kind == "command.succeeded.v1" for verdict in verdicts)
        if len(verdicts) == len(ids) and succeeded < len(found):
            told = sorted({f"{each.kind} {each.data.get('code')}" for each in verdicts})
            yield f"{len(found)} recordings of {sorted(ids)}, and {succeeded} successes: {told}"


def _wrong_ids(
    outcome: Received, messages: list[Sent], evidence: Evidence, owners: dict[str, str]
) -> Iterator[str]:
    if outcome.kind != "command.succeeded.v1":
        return
    command_id = messages[0].id
    ids = outcome.data.get("recording_ids", [])
    if len(ids) != 1:
        yield f"start {command_id} succeeded with the recordings {ids}"
    by_key = starts_by_key(evidence)
    for each in ids:
        recording = evidence.truth.recordings.get(each)
        if recording is not None and has_double(recording, evidence):
            continue
        if recording is None or not recording.by_worker:
            yield f"start {command_id} succeeded with {each}, which it did not start"
        elif command_id not in {sent.id for sent in by_key.get(key_of_recording(recording), [])}:
            yield f"start {command_id} succeeded with {each} of another start"
        if owners.setdefault(each, command_id) != command_id:
            yield f"starts {owners[each]} and {command_id} have the same recording {each}"


def _wrong_reason(outcome: Received, messages: list[Sent], evidence: Evidence) -> Iterator[str]:
    if outcome.kind != "command.rejected.v1":
        return
    code, command_id = outcome.data.get("code"), messages[0].id
    if code == "cancelled" and not any(
        _may_cancel(sent, messages, evidence) for sent in evidence.sent
    ):
        yield f"start {command_id} is cancelled, and there was no stop"
    if code == "unknown_participant" and not _has_stranger(messages, evidence):
        yield f"start {command_id} is rejected as {code}: {outcome.data.get('message')}"
    status = outcome.data.get("http_status")
    if status is not None and not _was_answered(status, evidence):
        yield f"start {command_id} is rejected with the status {status}, which no start got"


def _may_cancel(stop: Sent, messages: list[Sent], evidence: Evidence) -> bool:
    if stop.type != "stop_recording" or stop.command is None:
        return False
    meetings = {sent.command.get("meeting_id") for sent in messages if sent.command}
    recording = evidence.truth.recordings.get(stop.command.get("recording_id", ""))
    return (
        stop.command.get("start_id") == messages[0].id
        or stop.command.get("meeting_id") in meetings
        or (recording is not None and recording.meeting.id in meetings)
    )


def _has_stranger(messages: list[Sent], evidence: Evidence) -> bool:
    for sent in messages:
        command = sent.command or {}
        meeting = evidence.truth.meetings.get(command.get("meeting_id", ""))
        people = meeting.people if meeting else []
        users = {person.user_id for person in people}
        customs = {person.custom_id for person in people}
        if {*command.get("user_ids", ())} - users or {
            *command.get("custom_participant_ids", ())
        } - customs:
            return True
    return False


def _was_answered(status: int, evidence: Evidence) -> bool:
    return any(
        request.operation in {*KINDS, "active_session"} and request.status == status
        for request in evidence.truth.requests
    )
