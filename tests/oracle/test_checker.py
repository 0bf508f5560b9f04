"""The checker finds nothing in a good history, and each guarantee that is broken in a bad one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.oracle.checker import violations
from tests.oracle.evidence import DeadLetter, Evidence, Sent
from tests.oracle.good_history import (
    MEETING,
    RECORDING,
    START,
    STOP,
    USER,
    completion,
    file_event,
    good_history,
    outcome,
    sent_message,
    status_event,
)
from tests.oracle.truth import Change, Delivery, RecordedFile, Recording, Request

HEADERS: Final = dict.fromkeys(("x-reason-code", "x-reason", "x-attempts", "x-first-seen"), "x")
OTHER_RECORDING: Final = "b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c99"
GARBAGE: Final = Sent(1.0, "g", b"{", None, is_right=False)

Spoil = Callable[[Evidence], object]


def _drop(place: int) -> Spoil:
    return lambda evidence: evidence.received.pop(place)


def _add(*messages: Any) -> Spoil:
    return lambda evidence: evidence.received.extend(messages)


def _put(place: int, message: Any) -> Spoil:
    return lambda evidence: evidence.received.__setitem__(place, message)


def _send(sent: Sent, *outcomes: Any) -> Spoil:
    def spoil(evidence: Evidence) -> None:
        evidence.sent.append(sent)
        evidence.received.extend(outcomes)

    return spoil


def _second_recording(evidence: Evidence) -> None:
    first = evidence.truth.recordings[RECORDING]
    ended = [Change(2.5, "INVOKED"), Change(3.0, "ERRORED")]
    second = Recording(OTHER_RECORDING, "app", first.meeting, "track", first.body, True, ended)
    evidence.truth.recordings[second.id] = second


def _foreign_recording(evidence: Evidence) -> None:
    evidence.truth.recordings[RECORDING].by_worker = False
    first, *later = evidence.truth.recordings[RECORDING].changes
    changes = [replace(first, at=-10.0), *later]  # else the two could not be told apart
    evidence.truth.recordings[RECORDING].changes = changes


def _request(at: float, operation: str, body: Any = None, **more: Any) -> Spoil:
    request = Request(at, 0, "app", operation, RECORDING, body, "", True, "none", 200, at + 0.01)
    return lambda evidence: evidence.truth.requests.append(replace(request, **more))


def _never_stopped(evidence: Evidence) -> None:
    recording = evidence.truth.recordings[RECORDING]
    recording.changes = recording.changes[:2]
    recording.stop_reason = None


def _file_without_event(evidence: Evidence) -> None:
    file = RecordedFile("other.webm", "audio", 6.0, 6.0, USER, "peer", "alice")
    evidence.truth.recordings[RECORDING].files.append(file)


def _replayed(*replies: Any) -> Spoil:
    def spoil(evidence: Evidence) -> None:
        evidence.sent.append(sent_message(REPLAY, 7.0, reply_to="q", correlation_id="k7"))
        evidence.received.append(replace(outcome(REPLAY, 8.0), correlation_id="k7"))
        evidence.replies.extend(replace(each, exchange="", correlation_id="k7") for each in replies)

    return spoil


def _webhook_only(evidence: Evidence) -> None:
    """RECORDING was told only by a webhook that the worker took, and has no event."""
    evidence.truth.requests.pop(1)
    evidence.truth.deliveries.append(Delivery(3.0, 0, RECORDING, "RECORDING", False, 204))
    evidence.received[2:3] = []
    evidence.received[3] = status_event(2, 5.2, previous_status="INVOKED")


EXPIRED: Final = {**STOP, "id": "stop-2", "deadline": "2036-01-01T10:00:00Z"}
WAITING: Final = {**STOP, "id": "stop-2", "start_id": "nobody"}
SECOND_START: Final = {**START, "id": "start-2"}
LATE_START: Final = {**START, "deadline": "1970-01-01T00:00:01+00:00"}
REPLAY: Final = {"type": "replay_recording", "id": "replay-1", "recording_id": RECORDING}
WRONG: Final = {**START, "id": "wrong", "user_idz": []}

SPOILED: Final[dict[str, tuple[Spoil, str]]] = {
    "an outcome is missing": (_drop(3), "no outcome of stop-1"),
    "a reply is missing": (
        lambda evidence: evidence.sent.append(sent_message(START, 1.5, reply_to="q")),
        "replies missing to start-1",
    ),
    "a last status is missing": (
        lambda evidence: evidence.received.__delitem__(slice(5, 8)),
        "the last event says UPLOADING",
    ),
    "all events are missing": (
        lambda evidence: evidence.received.__setitem__(slice(None), evidence.received[1:4:2]),
        "no status of",
    ),
    "a file has no event": (_file_without_event, "no event of file other.webm"),
    "a completion is missing": (_drop(7), "no completion of"),
    "a replica is not ready": (
        lambda evidence: evidence.never_ready.append(0),
        "replica 0 does not become ready",
    ),
    "a garbage message is no dead letter": (_send(GARBAGE), "no dead letter of"),
    "a right command is a dead letter": (
        lambda evidence: evidence.dead.append(DeadLetter(evidence.sent[0].body, HEADERS)),
        "start-1 is right, and it is a dead letter",
    ),
    "a dead letter has no reason": (
        lambda evidence: evidence.dead.append(DeadLetter(b"{", {})),
        "a dead letter without",
    ),
    "a command stays in the queue": (
        lambda evidence: setattr(evidence, "left_in_queues", 1),
        "left in the queue",
    ),
    "a command has two outcomes": (
        _add(outcome(STOP, 7.0, "expired", attempts=1)),
        "two bodies with the id",
    ),
    "an outcome has no command": (
        _add(outcome({**STOP, "id": "x"}, 7.0)),
        "outcome of x, which nobody sent",
    ),
    "a right command is called wrong": (
        _put(
            3,
            outcome(
                STOP,
                5.1,
                "rejected",
                code="invalid_field",
                message="",
                field=None,
                http_status=None,
            ),
        ),
        "right command stop-1 is rejected as invalid_field",
    ),
    "a wrong command is executed": (
        _send(sent_message(WRONG, 1.0, is_right=False), outcome(WRONG, 2.0)),
        "wrong command wrong ends as command.succeeded.v1",
    ),
    "a command expires before its deadline": (
        _send(sent_message(EXPIRED, 1.0), outcome(EXPIRED, 2.0, "expired", attempts=1)),
        "stop-2 is expired before its deadline",
    ),
    "a command fails too early": (
        _send(
            sent_message(WAITING, 1.0),
            outcome(
                WAITING,
                2.0,
                "failed",
                attempts=1,
                last_error={"code": "start_unknown", "message": ""},
            ),
        ),
        "failed as start_unknown after 1.0 of 5.0 seconds",
    ),
    "an outcome has other metadata": (
        _put(1, outcome(START, 2.2, metadata={"a": "b"})),
        "outcome of start-1 has the metadata",
    ),
    "a start has two recordings": (_second_recording, "2 recordings of 1 starts"),
    "a start that was executed fails": (
        _put(
            1,
            outcome(
                START, 20.0, "failed", attempts=1, last_error={"code": "timeout", "message": ""}
            ),
        ),
        "1 recordings of ['start-1'], and 0 successes",
    ),
    "two starts have one recording": (
        _send(sent_message(SECOND_START, 1.0), outcome(SECOND_START, 2.2)),
        "have the same recording",
    ),
    "a start succeeds without a recording": (
        _put(1, outcome(START, 2.2, recording_ids=[])),
        "succeeded with the recordings []",
    ),
    "a start names a recording of others": (_foreign_recording, "which it did not start"),
    "a start is sent after its deadline": (
        lambda evidence: evidence.sent.__setitem__(0, sent_message(LATE_START, 1.0)),
        "after its deadline",
    ),
    "nobody asked for a start": (
        _request(2.0, "start_track", {"meeting_id": MEETING, "user_ids": ["x"]}),
        "a start that nobody asked for",
    ),
    "a start breaks the API's schema": (
        _request(2.0, "start_track", {"meeting_id": 1}, status=422),
        "the API's schema forbids",
    ),
    "a start is cancelled without a stop": (
        _send(
            sent_message({**SECOND_START, "meeting_id": "another"}, 1.0),
            outcome(
                SECOND_START,
                2.0,
                "rejected",
                code="cancelled",
                message="",
                field=None,
                http_status=None,
            ),
        ),
        "is cancelled, and there was no stop",
    ),
    "a stop names what it is not about": (
        _put(3, outcome(STOP, 5.1, recording_ids=[RECORDING, OTHER_RECORDING])),
        "which it is not about",
    ),
    "a stop does not stop": (_never_stopped, "stop stop-1 succeeded, and"),
    "nobody asked for a pause": (
        _request(4.0, "control", {"action": "pause"}, effect=RECORDING),
        "that nobody asked for",
    ),
    "a stop does not name what it stopped": (
        _put(3, outcome(STOP, 5.1, recording_ids=[])),
        "which no outcome names",
    ),
    "a fact has two ids": (
        lambda evidence: evidence.received.append(
            replace(file_event(7.0), body=file_event(7.0).body.replace(b"file-1", b"file-2"))
        ),
        "has 2 events of",
    ),
    "an id has two bodies": (_add(file_event(7.0, file_index=2)), "two bodies with the id file-1"),
    "events are out of order": (
        lambda evidence: evidence.received.insert(0, evidence.received.pop(2)),
        "arrived as",
    ),
    "an event names another start": (
        _put(2, status_event(1, 3.1, start_id="start-9")),
        "has the start_id start-9",
    ),
    "an event names another meeting": (
        _put(2, status_event(1, 3.1, meeting_id=RECORDING)),
        "has the meeting_id",
    ),
    "an event lacks the metadata": (
        lambda evidence: evidence.sent.__setitem__(
            0, sent_message({**START, "metadata": {"a": "b"}}, 1.0, correlation_id="k1")
        ),
        "has the metadata None",
    ),
    "an event has another correlation": (
        _put(2, replace(status_event(1, 3.1), correlation_id="k9")),
        "has the correlation k9",
    ),
    "an outcome has another correlation": (
        _put(3, replace(outcome(STOP, 5.1), correlation_id="k9")),
        "outcome of stop-1: k9",
    ),
    "events of another program's recording": (_foreign_recording, "of another program"),
    "a status goes backwards": (
        _put(4, status_event(2, 5.2, status="INVOKED")),
        "went from RECORDING to INVOKED",
    ),
    "a status was not true": (
        _put(5, status_event(3, 6.1, status="ERRORED")),
        "was told to be ERRORED",
    ),
    "a previous status is wrong": (
        _put(4, status_event(2, 5.2, previous_status="PAUSED")),
        "says PAUSED was before",
    ),
    "a status that was shown is not told": (
        lambda evidence: evidence.received.__setitem__(
            slice(2, 5), [evidence.received[3], status_event(2, 5.2, previous_status="INVOKED")]
        ),
        "was shown as RECORDING",
    ),
    "a webhook that was taken is not told": (_webhook_only, "was shown as RECORDING"),
    "a time is not that of the API": (
        _put(2, status_event(1, 3.1, started_time="2026-01-01T10:00:00Z")),
        "has the started_time 2026-01-01T10:00:00Z",
    ),
    "a duration is wrong": (
        _put(5, status_event(3, 6.1, recording_duration=7)),
        "has the recording_duration 7",
    ),
    "a file began at another moment": (
        _put(6, file_event(6.2, recorded_at="2026-01-01T10:00:00Z")),
        "has the recorded_at 2026-01-01T10:00:00Z",
    ),
    "somebody who never came has joined": (
        _put(
            7,
            completion(
                6.3,
                participants_without_file=[
                    {"user_id": "nobody", "custom_participant_id": None, "joined": True}
                ],
            ),
        ),
        "says that nobody joined, who did not",
    ),
    "a replay lacks an event": (
        _replayed(status_event(0, 2.1), outcome(REPLAY, 8.0)),
        "the replay replay-1 lacks 5 of 6 events",
    ),
    "a replay is out of order": (
        _replayed(status_event(1, 3.1), status_event(0, 2.1), outcome(REPLAY, 8.0)),
        "the replay replay-1 came as",
    ),
    "a replay ends after its outcome": (
        _replayed(outcome(REPLAY, 8.0), status_event(0, 2.1)),
        "is not its last message",
    ),
    "a file does not exist": (_put(6, file_event(6.2, file_name="x")), "has no file x"),
    "a file has another owner": (_put(6, file_event(6.2, user_id="x")), "has the user_id x"),
    "a file has a wrong URL": (
        _put(6, file_event(6.2, download_url="https://files.example/x")),
        "has the URL",
    ),
    "a file comes after the completion": (
        lambda evidence: evidence.received.append(evidence.received.pop(6)),
        "is completed with",
    ),
    "somebody with a file is called absent": (
        _put(
            7,
            completion(
                6.3,
                participants_without_file=[
                    {"user_id": USER, "custom_participant_id": None, "joined": True}
                ],
            ),
        ),
        "without file, who have one",
    ),
    "an event lacks a field": (
        lambda evidence: evidence.received.__setitem__(
            6, replace(file_event(6.2), body=file_event(6.2).body.replace(b"storage", b"store"))
        ),
        "'storage' is a required property",
    ),
    "a message is not persistent": (
        _put(6, replace(file_event(6.2), is_persistent=False)),
        "has the persistent False",
    ),
    "a message has another routing key": (
        _put(6, replace(file_event(6.2), routing_key="x")),
        "has the routing key x",
    ),
    "the budget is exceeded": (
        lambda evidence: setattr(evidence.limits, "budget", ((2, 5.0),)),
        "3 requests within",
    ),
    "a pause of the gateway is ignored": (
        _request(2.4, "get", fault="throttled", status=429, retry_after=2.0),
        "0.59 seconds after it was told to wait 2.00",
    ),
}


def test_a_good_history_has_no_violation() -> None:
    assert violations(good_history()) == []


@pytest.mark.parametrize("name", SPOILED)
def test_the_checker_notices_that(name: str) -> None:
    spoil, expected = SPOILED[name]
    evidence = good_history()
    spoil(evidence)
    found = violations(evidence)
    assert any(expected in problem for problem in found), found
