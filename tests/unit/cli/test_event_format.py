"""Events as one line for people, and the filter that selects them."""

from datetime import UTC, datetime
from typing import Any

import click
import pytest
from rich.cells import cell_len

from recording_schemas import (
    EVENT_TYPES,
    Archived,
    ArchiveFailed,
    CloudEvent,
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    Completed,
    ErrorInfo,
    EventData,
    FileArchived,
    FileReady,
    FileUrlRenewed,
    ParticipantWithoutFile,
    Status,
    StatusChanged,
    decode_event,
    encode_event,
)
from worker.cli.event_filter import EventFilter, require_known_types
from worker.cli.event_format import event_line, short_event_line

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def event(data: EventData) -> CloudEvent:
    return decode_event(
        encode_event(data, id="e", source="s", subject="x", time=NOON, sequence=None)
    )


def event_of(struct: type[EventData], **fields: Any) -> CloudEvent:
    """An event with null in every field that is not given."""
    return event(struct(**{**dict.fromkeys(struct.__struct_fields__), **fields}))


STATUS = event_of(
    StatusChanged,
    recording_id="r-1",
    meeting_id="m-1",
    kind="track",
    status=Status.ERRORED,
    previous_status=Status.RECORDING,
    observed_by="sweep",
    observed_at=NOON,
    error=ErrorInfo(code="stalled", message="no\x1b[31m news"),
)
FILE = event_of(
    FileReady,
    recording_id="r-1",
    meeting_id="m-1",
    kind="track",
    file_name="a.webm",
    media_kind="audio",
    user_id="alice",
    download_url="https://files.test/a.webm?X-Signature=hunter2",
    file_index=2,
    file_count=3,
)
STORED = event_of(
    FileReady,
    recording_id="r-2",
    kind="composite",
    file_name="a.mp4",
    media_kind="video",
    file_index=1,
    file_count=1,
)
RENEWED = event_of(
    FileUrlRenewed,
    recording_id="r-1",
    meeting_id="m-1",
    kind="track",
    file_name="a.webm",
    media_kind="audio",
    user_id="alice",
    download_url="https://files.test/a.webm?X-Signature=hunter2",
    file_index=2,
    file_count=3,
)
COMPLETED = event_of(
    Completed, recording_id="r-1", meeting_id="m-1", kind="track", status=Status.UPLOADED,
    file_count=1, files=("a.webm",),
)  # fmt: skip
LACKING = event_of(
    Completed, recording_id="r-1", meeting_id="m-1", kind="track", status=Status.UPLOADED,
    file_count=1, files=("a.webm",),
    participants_without_file=tuple(
        ParticipantWithoutFile(user_id=f"u{no}", custom_participant_id=f"p{no}", joined=True)
        for no in range(7)
    ),
)  # fmt: skip
ARCHIVE = {"recording_id": "r-3", "meeting_id": "m-3", "kind": "track"}
FILE_ARCHIVED = event_of(
    FileArchived, **ARCHIVE, file_name="a.webm", media_kind="audio", size_bytes=7,
    archive_url="s3://bucket/a.webm", sha256="0" * 64, content_type="audio/webm", archived_at=NOON,
)  # fmt: skip
ARCHIVED = event_of(
    Archived, **ARCHIVE, file_count=1, total_bytes=7, manifest_url="s3://bucket/manifest.json"
)
REFUSED = event_of(
    ArchiveFailed, **ARCHIVE, file_name="a.webm", attempts=5, final=False,
    error=ErrorInfo(code="storage_refused", message="no\x1b[31m"),
)  # fmt: skip
LOST = event_of(
    ArchiveFailed, **ARCHIVE, attempts=1, final=True,
    error=ErrorInfo(code="url_expired", message="too late"),
)  # fmt: skip
OUTCOME = {"command_id": "c-1", "command_type": "stop_recording"}
SUCCEEDED = event_of(CommandSucceeded, **OUTCOME, recording_ids=("r-1", "r-2"))
REJECTED = event_of(CommandRejected, **OUTCOME, code="not_found", message="no such meeting")
EXPIRED = event_of(CommandExpired, **OUTCOME, attempts=1)
FAILED = event_of(
    CommandFailed, **OUTCOME, attempts=3, last_error=ErrorInfo(code="timeout", message="slow")
)
EVENTS = (
    *(STATUS, FILE, STORED, RENEWED, COMPLETED, FILE_ARCHIVED, ARCHIVED, REFUSED),
    *(SUCCEEDED, REJECTED, EXPIRED, FAILED),
)


def test_every_kind_of_event_is_among_the_examples() -> None:
    assert {event.type for event in EVENTS} == set(EVENT_TYPES.values())


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            STATUS,
            ["ERRORED", "track r-1", "was RECORDING", "observed by sweep", r"stalled: no\x1b[31m"],
        ),
        (FILE, ["file 2/3", "a.webm", "alice", "https://files.test/a.webm"]),
        (STORED, ["file 1/1", "owner unknown", "in your own storage"]),
        (RENEWED, ["new url", "a.webm", "alice", "https://files.test/a.webm"]),
        (COMPLETED, ["completed", "r-1", "1 file"]),
        (LACKING, ["completed", "r-1", "1 file", "none of p0, p1, p2, p3, p4 and 2 more"]),
        (FILE_ARCHIVED, ["archived", "track r-3", "a.webm", "7 bytes", "s3://bucket/a.webm"]),
        (ARCHIVED, ["archived", "1 file", "7 bytes", "s3://bucket/manifest.json"]),
        (REFUSED, ["refused", "a.webm", r"storage_refused: no\x1b[31m", "5 attempts"]),
        (LOST, ["lost", "its manifest", "url_expired: too late", "1 attempt"]),
        (SUCCEEDED, ["succeeded", "stop_recording c-1", "r-1, r-2"]),
        (REJECTED, ["rejected", "not_found: no such meeting"]),
        (EXPIRED, ["expired", "1 attempt"]),
        (FAILED, ["failed", "timeout: slow, 3 attempts"]),
    ],
)
def test_an_event_is_one_line_with_its_facts(shown: CloudEvent, words: list[str]) -> None:
    line = click.unstyle(event_line(shown))

    assert "\n" not in line
    assert "hunter2" not in line
    assert all(word in line for word in words), line


def matching(**filters: Any) -> list[CloudEvent]:
    event_filter = EventFilter(**filters)
    return [event for event in EVENTS if event_filter.matches(event)]


def test_an_empty_filter_matches_every_event() -> None:
    assert matching() == list(EVENTS)


def test_a_meeting_matches_its_events_in_any_case_and_no_outcome() -> None:
    assert matching(meeting_id="M-1") == [STATUS, FILE, RENEWED, COMPLETED]


def test_a_recording_matches_its_events_and_the_outcomes_that_name_it() -> None:
    assert matching(recording_id="r-2") == [STORED, SUCCEEDED]


def test_a_type_matches_with_or_without_version_and_by_family() -> None:
    assert matching(types=("recording.file_ready.v1",)) == [FILE, STORED]
    assert matching(types=("recording.file_ready", "recording.completed")) == [
        *(FILE, STORED, COMPLETED)
    ]
    assert matching(types=("command",)) == [SUCCEEDED, REJECTED, EXPIRED, FAILED]


@pytest.mark.parametrize("event_type", ["recording.file", "", "recording.file_ready.v2"])
def test_an_unknown_type_is_refused_with_the_list_of_types(event_type: str) -> None:
    with pytest.raises(click.UsageError, match=r"--type.*recording\.file_ready\.v1"):
        require_known_types([event_type])


LONG_ID = "1a2b3c4d-0000-4000-8000-000000000001"
LONG_EVENTS = [
    event_of(
        StatusChanged,
        recording_id=LONG_ID,
        meeting_id=LONG_ID,
        kind="composite",
        status=Status.RECORDING,
        previous_status=Status.INVOKED,
        observed_by="webhook",
        observed_at=NOON,
        stop_reason="ALL_PEERS_LEFT",
        error=ErrorInfo(code="stalled", message="words " * 30),
    ),
    event_of(
        FileReady,
        recording_id=LONG_ID,
        kind="track",
        file_name=f"team_call_{LONG_ID}_1767225600000_audio.webm",
        user_id=LONG_ID,
        file_index=1,
        media_kind="audio",
        file_count=12,
        download_url=f"https://files.example.com/{LONG_ID}/a.webm?X-Signature=secret",
    ),
    event_of(
        CommandSucceeded,
        command_id=LONG_ID,
        command_type="start_track_recording",
        recording_ids=(LONG_ID,) * 5,
    ),
    event_of(
        CommandRejected,
        command_id="an-id-of-our-own-that-is-as-long-as-it-may-be-" * 2,
        command_type="stop_recording",
        code="not_found",
        message="words " * 30,
    ),
]


@pytest.mark.parametrize("long", LONG_EVENTS)
@pytest.mark.parametrize("width", [60, 80, 132])
def test_a_line_for_a_terminal_fits_into_its_width_and_names_its_subject(
    long: CloudEvent, width: int
) -> None:
    line = click.unstyle(short_event_line(long, width))

    assert len(line) <= width
    assert "1a2b3c4d " in line.replace(",", " ") + " " or "an-id-of-our-own" in line
    assert LONG_ID not in line
    assert "secret" not in line


@pytest.mark.parametrize("kind", ["composite", "track"])
def test_the_usual_change_of_a_status_is_whole_in_80_columns(kind: str) -> None:
    usual = event_of(
        StatusChanged,
        recording_id=LONG_ID,
        meeting_id=LONG_ID.replace("1a2b", "5e6f"),
        kind=kind,
        status=Status.RECORDING,
        previous_status=Status.INVOKED,
        observed_by="webhook",
        observed_at=NOON,
    )

    line = click.unstyle(short_event_line(usual, 80))

    assert line.endswith(f"RECORDING  {kind} 1a2b3c4d  meeting 5e6f3c4d  by webhook")


@pytest.mark.parametrize(
    ("line_of", "end"),
    [
        (FileReady, "file 1/3   track 1a2b3c4d  team_call_1…audio.webm  alice@example.com"),
        (
            FileArchived,
            "archived   track 1a2b3c4d  team_call_1a2b…00_audio.webm  23546 bytes",
        ),
        (CommandSucceeded, "succeeded  start_track 会議の録画…社-営業部  recordings: 1a2b3c4d"),
    ],
)
def test_the_usual_events_lose_only_the_middle_of_long_names_in_80_columns(
    line_of: type[EventData], end: str
) -> None:
    fields: dict[str, Any] = {
        "recording_id": LONG_ID,
        "kind": "track",
        "file_name": f"team_call_{LONG_ID}_1767225600000_audio.webm",
        "custom_participant_id": "alice@example.com",
        "file_index": 1,
        "file_count": 3,
        "size_bytes": 23_546,
        "archive_url": f"file:///var/archive/{LONG_ID}.webm",
        "media_kind": "audio",
        "sha256": "0" * 64,
        "content_type": "audio/webm",
        "archived_at": NOON,
        "download_url": f"https://files.test/{LONG_ID}.webm?X-Signature=secret",
        "command_id": "会議の録画を開始する-東京本社-営業部",
        "command_type": "start_track_recording",
        "recording_ids": (LONG_ID,),
    }
    own = {name: value for name, value in fields.items() if name in line_of.__struct_fields__}

    line = click.unstyle(short_event_line(event_of(line_of, **own), 80))

    assert line.endswith(end)
    assert cell_len(line) <= 80


@pytest.mark.parametrize(
    ("short_id", "is_selected"),
    [("1a2b", True), (LONG_ID, True), ("1a2b…", True), ("1a2c", False), ("r-", False)],
)
def test_short_ids_select_events(short_id: str, is_selected: bool) -> None:
    long = LONG_EVENTS[0]
    assert EventFilter(recording_id=short_id).matches(long) is is_selected
    assert EventFilter(meeting_id=short_id.upper()).matches(long) is is_selected
    assert EventFilter(recording_id=short_id).matches(LONG_EVENTS[2]) is is_selected
