"""A stop stops what it names, nothing else is stopped, and `recording_ids` names all of it."""

from collections.abc import Iterator
from typing import Final

from tests.oracle.evidence import CONTROLS, Evidence, Received, Sent
from tests.oracle.start_keys import has_double, key_of_recording, starts_by_key
from tests.oracle.truth import Recording, Request

ACTIONS: Final = {
    "stop_recording": "stop",
    "pause_recording": "pause",
    "resume_recording": "resume",
}
LIST_SECONDS: Final = 1.0
"""How much longer than the lag of the list a stop may not see another program's recording."""
RUNNING: Final = ("INVOKED", "RECORDING", "PAUSED")


def check_stops(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    outcomes = evidence.outcomes()
    by_key = {
        key: {sent.id for sent in messages} for key, messages in starts_by_key(evidence).items()
    }
    for command_id, messages in evidence.commands().items():
        outcome = outcomes.get(command_id)
        if messages[0].type not in CONTROLS or outcome is None:
            continue
        if outcome.kind == "command.succeeded.v1":
            yield from _wrong_ids(outcome, messages, evidence, by_key)
            if messages[0].type == "stop_recording" and len({m.body for m in messages}) == 1:
                yield from _still_running(outcome, messages, evidence, by_key)
    for request in evidence.truth.requests:
        if request.operation == "control" and request.effect is not None:
            yield from _unexplained(request, evidence, by_key)


def _covers(sent: Sent, recording: Recording, by_key: dict[str, set[str]]) -> bool:
    """Whether a command is about a recording."""
    command = sent.command or {}
    starts = by_key.get(key_of_recording(recording), set()) if recording.by_worker else set()
    return (
        command.get("recording_id") == recording.id
        or command.get("start_id") in starts
        or (
            command.get("meeting_id") == recording.meeting.id
            and command.get("kind") in {None, recording.kind}
        )
    )


def _wrong_ids(
    outcome: Received, messages: list[Sent], evidence: Evidence, by_key: dict[str, set[str]]
) -> Iterator[str]:
    for each in outcome.data.get("recording_ids", []):
        recording = evidence.truth.recordings.get(each)
        if recording is not None and has_double(recording, evidence):
            continue
        if recording is None or not any(_covers(sent, recording, by_key) for sent in messages):
            yield f"{messages[0].type} {messages[0].id} names {each}, which it is not about"


def _still_running(
    outcome: Received, messages: list[Sent], evidence: Evidence, by_key: dict[str, set[str]]
) -> Iterator[str]:
    stop = messages[0]
    lag = evidence.limits.list_lag + LIST_SECONDS
    for recording in evidence.truth.recordings.values():
        is_old = recording.began + (0 if recording.by_worker else lag) < stop.at
        names_one = stop.command is not None and "meeting_id" not in stop.command
        if not _covers(stop, recording, by_key) or not (is_old or names_one):
            continue
        if names_one and recording.id not in outcome.data.get("recording_ids", []):
            continue  # of several starts that look alike, it may be that of another one
        is_running = recording.status_at(outcome.at) in RUNNING
        if is_running and recording.stop_reason is None:
            yield f"stop {stop.id} succeeded, and {recording.id} is {recording.status}"


def _is_stalled(recording: Recording, at: float, evidence: Evidence) -> bool:
    """Whether the worker may end it by itself, because it never began to record."""
    waited = at - recording.began
    return recording.status_at(at) == "INVOKED" and waited >= evidence.limits.invoked_timeout


def _unexplained(
    request: Request, evidence: Evidence, by_key: dict[str, set[str]]
) -> Iterator[str]:
    recording = evidence.truth.recordings[str(request.effect)]
    action = request.body["action"]
    commands = [
        sent
        for sent in evidence.sent
        if ACTIONS.get(str(sent.type)) == action
        and sent.is_right
        and sent.at < request.at
        and _covers(sent, recording, by_key)
    ]
    is_stalled = action == "stop" and _is_stalled(recording, request.at, evidence)
    if is_stalled or has_double(recording, evidence):
        return
    if not commands:
        yield f"{action} of {recording.id} that nobody asked for"
        return
    outcomes = evidence.outcomes()
    verdicts = [outcomes[sent.id] for sent in commands if sent.id in outcomes]
    if len(verdicts) == len(commands) and all(
        verdict.kind == "command.succeeded.v1"
        and recording.id not in verdict.data.get("recording_ids", [])
        for verdict in verdicts
    ):
        yield f"{action} of {recording.id}, which no outcome names: {[s.id for s in commands]}"
