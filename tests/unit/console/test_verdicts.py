"""The sentences about a recording or a command: its result, and why there is no file."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recording_schemas import ErrorInfo, Status
from worker.console.verdicts import command_verdict, recording_verdicts
from worker.domain.recording import Recording, StartContext
from worker.store.admin.command_pages import ParkedCommand
from worker.store.admin.past_commands import PastCommand
from worker.store.admin.recording_details import KeptEvent, KnownFile, RecordingDetails

NOW = datetime(2026, 11, 1, tzinfo=UTC)
OWN_START = StartContext(start_id="s1")


def details(
    *, files: int = 0, events: tuple[KeptEvent, ...] = (), expires_in: float = 60, **fields: Any
) -> RecordingDetails:
    known = {"recording_id": "r1", "app": "default", "kind": "track", "start": OWN_START}
    return RecordingDetails(
        recording=Recording(**{**known, **fields}),
        start=None,
        files=tuple(
            KnownFile(
                file_index=number,
                file_name=f"{number}.webm",
                user_id=None,
                found_at=NOW.timestamp(),
                url_expires_at=NOW.timestamp() + expires_in,
            )
            for number in range(files)
        ),
        events=events,
        has_more_events=False,
    )


def completion(people: list[dict[str, Any]] | None, **fields: Any) -> KeptEvent:
    event = KeptEvent(
        event_id="e",
        event_type="recording.completed.v1",
        sequence="1",
        time="t",
        routing_key="track.completed",
        state="sent",
        sent_at=1.0,
        tries=0,
        last_error=None,
        data={"participants_without_file": people},
    )
    return msgspec.structs.replace(event, **fields)


def texts(recording: RecordingDetails) -> str:
    return "\n".join(
        f"{verdict.level}: {verdict.text}" for verdict in recording_verdicts(recording, now=NOW)
    )


@pytest.mark.parametrize(
    ("recording", "says"),
    [
        (details(status=Status.INVOKED), "wait: The API has accepted the start"),
        (details(status=Status.RECORDING), "wait: It is being recorded now"),
        (details(status=Status.UPLOADING), "wait: It has stopped, and the API is uploading"),
        (details(status=Status.UPLOADED), "wait: It has ended. The worker looks for its files"),
        (
            details(status=Status.UPLOADED, completed=True),
            "bad: It has ended, and the API lists no",
        ),
        (
            details(status=Status.UPLOADED, completed=True, files=2),
            "good: It is complete: 2 files.",
        ),
        (
            details(status=Status.ERRORED, error=ErrorInfo(code="stalled", message="no change")),
            "bad: It ended with an error: no change (stalled)",
        ),
        (details(status=Status.RECORDING, missing_since=NOW), "bad: The API answers that it does"),
        (details(status=Status.RECORDING, start=None), "note: Another program started it."),
        (details(status=Status.RECORDING, surplus_of="s9"), "note: Its start made a second"),
        (
            details(status=Status.RECORDING, cancelled_by="stop-1"),
            "note: The stop stop-1 cancelled",
        ),
        (
            details(status=Status.UPLOADED, completed=True, files=2, expires_in=-1),
            "bad: The download URL of 2 files has expired",
        ),
    ],
)
def test_each_state_of_a_recording_has_its_sentence(recording: RecordingDetails, says: str) -> None:
    assert says in texts(recording)


def test_people_without_a_file_are_named_with_the_reason() -> None:
    people: list[dict[str, Any]] = [
        {"custom_participant_id": "ann", "user_id": "u1", "joined": False},
        {"custom_participant_id": None, "user_id": "u2", "joined": True},
        *(
            {"custom_participant_id": f"p{number}", "user_id": None, "joined": False}
            for number in range(6)
        ),
    ]
    sentences = texts(details(status=Status.UPLOADED, completed=True, events=(completion(people),)))
    assert "Without a file: ann, p0, p1, p2, p3 and 2 more never joined." in sentences
    assert "Without a file: u2 joined, but the API has no file of them." in sentences


def test_events_that_are_not_out_are_counted() -> None:
    waiting = details(status=Status.RECORDING, events=(completion(None, state="waiting"),))
    aside = details(status=Status.RECORDING, events=(completion(None, state="set aside"),))
    assert "wait: 1 event not yet published." in texts(waiting)
    assert "bad: 1 event could never be published." in texts(aside)


def command(**fields: Any) -> PastCommand:
    known: dict[str, Any] = {
        "command_id": "c",
        "command_type": "start_track_recording",
        "app": "default",
        "state": "waiting",
        "attempts": 3,
        "first_seen_at": 1.0,
        "finished_at": None,
        "outcome": None,
        "event_id": None,
        "data": None,
        "last_error": None,
    }
    return PastCommand(**{**known, **fields})


PARKED = ParkedCommand(
    waits_for="session",
    app="default",
    subject="m1",
    parked_at=NOW.timestamp(),
    due_at=(NOW + timedelta(hours=1)).timestamp(),
)
REFUSAL = {"code": "already_recording", "message": "it is recorded"}


@pytest.mark.parametrize(
    ("past_command", "parked", "level", "says"),
    [
        (command(outcome="succeeded", data={}), None, "good", "It was executed."),
        (
            command(outcome="rejected", data=REFUSAL),
            None,
            "bad",
            "already_recording: it is recorded",
        ),
        (command(outcome="failed", data={"last_error": REFUSAL}), None, "bad", "after 3 attempts"),
        (command(outcome="expired", data={}), None, "bad", "Its deadline passed"),
        (command(), PARKED, "wait", "It waits for the session of meeting m1."),
        (
            command(),
            msgspec.structs.replace(PARKED, waits_for="start", subject="s1"),
            "wait",
            "It waits for the start s1.",
        ),
        (command(state="running"), None, "wait", "A worker is executing it now."),
        (
            command(last_error=ErrorInfo(code="timeout", message="no answer")),
            None,
            "wait",
            "It waits for its next attempt. Last error: timeout: no answer",
        ),
    ],
)
def test_each_end_of_a_command_has_its_sentence(
    past_command: PastCommand, parked: ParkedCommand | None, level: str, says: str
) -> None:
    verdict = command_verdict(past_command, parked)
    assert (verdict.level, says in verdict.text) == (level, True), verdict.text
