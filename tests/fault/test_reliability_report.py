"""The report, on facts that tests write by hand."""

from typing import Any

import msgspec
import pytest

from recording_sandbox.model.log_entries import (
    FileEntry,
    RequestEntry,
    StartedEntry,
    TransitionEntry,
)
from recording_schemas import (
    Archived,
    CommandRejected,
    CommandSucceeded,
    Completed,
    EventData,
    FileArchived,
    FileReady,
    Status,
    StatusChanged,
    encode_event,
    exchange_of,
    routing_key,
)
from tests.fault.reliability_report import RunFigures, report_lines, report_on
from tests.fault.run_record import SUCCEEDED, ReceivedMessage, RunRecord, SentMessage
from worker.domain.times import utc

FILE = "default_file.webm"


def event_message(data: EventData, event_id: str, sequence: int | None = None) -> ReceivedMessage:
    subject = data.recording_id if sequence else "start"  # type: ignore[union-attr]
    body = encode_event(
        data,
        id=event_id,
        source="test",
        subject=subject,
        time=utc(0),
        sequence=f"{sequence:012d}" if sequence else None,
    )
    return ReceivedMessage(
        exchange=exchange_of(data), routing_key=routing_key(data), message_id=event_id, body=body
    )


def about(kind: type[Any], **fields: Any) -> Any:
    """An event's data; fields that are not given are null."""
    common = {"recording_id": "r1", "meeting_id": "m1", "kind": "track", "start_id": "start"}
    return kind(**{**dict.fromkeys(kind.__struct_fields__), **common, **fields})


def status(status: Status, before: Status | None, number: int) -> ReceivedMessage:
    data = about(
        StatusChanged,
        status=status,
        previous_status=before,
        observed_by="sweep",
        observed_at=utc(0),
    )
    return event_message(data, f"event-{number}", number)


def outcome(recording_id: str = "r1", event_id: str = "outcome") -> ReceivedMessage:
    data = CommandSucceeded(
        command_id="start",
        command_type="start_track_recording",
        recording_ids=(recording_id,),
        metadata=None,
    )
    return event_message(data, event_id)


def file_ready(number: int, name: str = FILE) -> ReceivedMessage:
    data = about(FileReady, file_name=name, media_kind="audio", file_index=1, file_count=1)
    return event_message(data, f"event-{number}", number)


def completed(number: int) -> ReceivedMessage:
    data = about(Completed, status=Status.UPLOADED, file_count=1, files=(FILE,))
    return event_message(data, f"event-{number}", number)


def move(status: str, recording_id: str = "r1") -> TransitionEntry:
    return TransitionEntry(
        at=0, recording_id=recording_id, meeting_id="m1", previous=None, status=status
    )


def begun(recording_id: str = "r1") -> StartedEntry:
    return StartedEntry(
        at=0,
        recording_id=recording_id,
        meeting_id="m1",
        session_id=None,
        app_id="app",
        kind="track",
    )


START = SentMessage(
    body=b"{}",
    command_id="start",
    confirmed=True,
    starts="track",
    meeting_id="m1",
    allowed=SUCCEEDED,
)
INVOKED = status(Status.INVOKED, None, 1)
UPLOADED = status(Status.UPLOADED, Status.INVOKED, 2)
GOOD = RunRecord(
    sent=(START,),
    received=(outcome(), INVOKED, UPLOADED, file_ready(3), completed(4)),
    started=(begun(),),
    transitions=tuple(map(move, ("INVOKED", "RECORDING", "UPLOADING", "UPLOADED"))),
    files=(FileEntry(at=0, recording_id="r1", meeting_id="m1", name=FILE, seconds=1.0),),
)


def changed(**fields: Any) -> RunRecord:
    return msgspec.structs.replace(GOOD, **fields)


def without(*numbers: int) -> tuple[ReceivedMessage, ...]:
    return tuple(message for number, message in enumerate(GOOD.received) if number not in numbers)


def test_a_correct_run_has_no_violations() -> None:
    found = report_on(GOOD)
    assert found.violations == ()
    assert (found.attempted, found.confirmed, found.outcomes) == (1, 1, 1)
    assert (found.recordings, found.transitions, found.files, found.events) == (1, 4, 1, 4)


def test_an_identical_repeated_event_is_counted_and_allowed() -> None:
    found = report_on(changed(received=(*GOOD.received, INVOKED, outcome())))
    assert found.violations == ()
    assert found.duplicates == 2


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (0, "command start was confirmed and has no outcome"),
        (1, "recording r1 has no event of sequence 1"),
        (2, "recording r1 is UPLOADED, and no event says so"),
        (3, f"recording r1 has file {FILE}, and no event says so"),
        (4, "recording r1 has no completed event"),
    ],
)
def test_each_missing_message_counts_as_lost(missing: int, words: str) -> None:
    assert words in report_on(changed(received=without(missing))).lost


def archived(number: int, event_id: str | None = None) -> ReceivedMessage:
    data = about(
        FileArchived,
        file_name=FILE,
        media_kind="audio",
        archive_url="file:///a",
        size_bytes=1,
        sha256="0" * 64,
        content_type="audio/webm",
        archived_at=utc(0),
    )
    return event_message(data, event_id or f"event-{number}", number)


def manifest(number: int, files: int = 1) -> ReceivedMessage:
    data = about(Archived, file_count=files, total_bytes=1, manifest_url="file:///m")
    return event_message(data, f"event-{number}", number)


def test_an_archived_file_with_its_manifest_is_not_missing() -> None:
    found = report_on(changed(archives=True, received=(*GOOD.received, archived(5), manifest(6))))
    assert (found.violations, found.archived) == ((), 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), f"recording r1 has file {FILE}, and no event says it is archived"),
        ((archived(5),), "recording r1 has no manifest of its 1 copies"),
        ((archived(5), manifest(6, files=0)), "recording r1 has no manifest of its 1 copies"),
    ],
)
def test_a_file_without_its_copy_or_manifest_counts_as_lost(
    more: tuple[ReceivedMessage, ...], words: str
) -> None:
    found = report_on(changed(archives=True, received=(*GOOD.received, *more)))
    assert (found.unarchived, found.missing) == ((words,), (words,))


def test_a_second_copy_counts_as_doubled_and_a_repeated_event_does_not() -> None:
    received = (*GOOD.received, archived(5), archived(5), archived(6), manifest(7))
    found = report_on(changed(archives=True, received=received))
    assert found.archived_twice == (f"recording r1 has file {FILE} archived 2 times",)


def test_an_unconfirmed_command_needs_no_outcome() -> None:
    unconfirmed = msgspec.structs.replace(START, command_id="other", confirmed=False)
    assert report_on(changed(sent=(START, unconfirmed))).violations == ()


def test_a_missing_reply_counts_as_lost() -> None:
    asking = msgspec.structs.replace(START, reply_to=True)
    reply = msgspec.structs.replace(outcome(), exchange="")
    assert report_on(changed(sent=(asking,))).lost == (
        "command start asked for a reply and got none",
    )
    assert report_on(changed(sent=(asking,), received=(*GOOD.received, reply))).violations == ()


def test_an_invalid_command_without_a_dead_letter_counts_as_lost() -> None:
    nonsense = msgspec.structs.replace(START, body=b"nonsense", is_command=False)
    dead_letter = ReceivedMessage(
        exchange="dead-letter", routing_key="", message_id=None, body=b"nonsense"
    )
    assert len(report_on(changed(sent=(START, nonsense))).lost) == 1
    found = report_on(changed(sent=(START, nonsense), received=(*GOOD.received, dead_letter)))
    assert found.violations == ()


def test_a_recording_that_was_never_stopped_counts_as_lost() -> None:
    (found,) = report_on(changed(transitions=GOOD.transitions[:2])).lost
    assert found == "recording r1 is still RECORDING: it was never stopped"


def test_a_second_recording_for_one_start_counts_as_surplus() -> None:
    again = begun("r2")
    found = report_on(
        changed(
            started=(begun(), again),
            transitions=(*GOOD.transitions, move("INVOKED", "r2")),
        )
    )
    assert found.doubled == ("meeting m1 has 2 track recordings for start",)


def test_a_recording_of_a_rejected_start_counts_as_surplus() -> None:
    fields = dict.fromkeys(CommandRejected.__struct_fields__)
    known: Any = {**fields, "command_id": "start", "command_type": "start_track_recording"}
    refusal = event_message(CommandRejected(**{**known, "code": "c", "message": "m"}), "outcome")
    found = report_on(changed(received=(refusal, *without(0))))
    assert len(found.doubled) == 1
    assert len(found.unexpected) == 1  # nothing stood in its way


def test_external_recordings_need_no_events_and_belong_to_no_start() -> None:
    theirs = begun("theirs")
    moves = (*GOOD.transitions, move("RECORDING", "theirs"))
    facts = changed(started=(begun(), theirs), transitions=moves, foreign=frozenset({"theirs"}))
    assert report_on(facts).violations == ()
    claimed = msgspec.structs.replace(facts, received=(outcome("theirs"), *without(0)))
    assert report_on(claimed).unexpected == (
        "start start claims recording theirs of somebody else",
    )


def test_one_recording_for_two_starts_counts_as_unexpected() -> None:
    another = msgspec.structs.replace(START, command_id="another")
    data = CommandSucceeded(
        command_id="another",
        command_type="start_track_recording",
        recording_ids=("r1",),
        metadata=None,
    )
    body = event_message(data, "another-outcome").body.replace(
        b'"subject":"start"', b'"subject":"another"'
    )
    claim = msgspec.structs.replace(event_message(data, "another-outcome"), body=body)
    found = report_on(changed(sent=(START, another), received=(*GOOD.received, claim)))
    assert found.unexpected == ("starts another and start both claim recording r1",)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (outcome(event_id="another"), "outcome start has the ids outcome and another"),
        (event_message(
            about(FileReady, file_name="x", media_kind="audio", file_index=2, file_count=2),
            "event-5", 5), "recording r1 never had a file x"),
        (msgspec.structs.replace(INVOKED, message_id="else"), "came with message_id else"),
        (msgspec.structs.replace(INVOKED, body=b"{}"), "came with other bytes"),
        (ReceivedMessage(exchange="", routing_key="", message_id=None, body=START.body),
         "a message on reply is no event"),
    ],
)  # fmt: skip
def test_false_claims_count_as_unexpected(extra: ReceivedMessage, words: str) -> None:
    found = report_on(changed(received=(*GOOD.received, extra)))
    assert any(words in violation for violation in found.unexpected)


def test_a_request_beyond_the_limit_of_the_api_counts_as_unexpected() -> None:
    refused = RequestEntry(at=0, operation="list_recordings", method="GET", status=429, breach=True)
    (found,) = report_on(changed(beyond_limit=(refused,))).unexpected
    assert found == "list_recordings was asked for beyond the API's limit"


@pytest.mark.parametrize(
    "received",
    [
        (outcome(), UPLOADED, INVOKED, file_ready(3), completed(4)),
        (outcome(), INVOKED, UPLOADED, completed(3), file_ready(4)),
        (*GOOD.received, status(Status.RECORDING, Status.UPLOADED, 5)),
    ],
    ids=["sequence", "completed before its files", "a status after the end"],
)
def test_an_order_that_subscribers_cannot_follow_is_reported(
    received: tuple[ReceivedMessage, ...],
) -> None:
    assert report_on(changed(received=received)).out_of_order


def test_the_report_lines_end_with_the_seed_and_name_each_violation() -> None:
    found = report_on(changed(received=without(4)))
    lines = report_lines(found, RunFigures(kills=3, restarts=3, seed=42)).splitlines()
    assert "lost                                 1" in lines
    assert "seed                                42" in lines
    assert lines[-1] == "lost: recording r1 has no completed event"


def test_an_event_that_the_broker_sends_again_may_be_late() -> None:
    late = msgspec.structs.replace(INVOKED, redelivered=True)
    received = (outcome(), UPLOADED, late, file_ready(3), completed(4))
    assert report_on(changed(received=received)) == report_on(GOOD)
