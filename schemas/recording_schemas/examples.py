"""One example of every message, for readers, for tests and for the generated documents."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from recording_schemas.archive_examples import ARCHIVE_EVENTS, MANIFEST
from recording_schemas.commands import Command
from recording_schemas.composite import AudioConfig, VideoConfig, Watermark, WatermarkSize
from recording_schemas.control_commands import (
    ArchiveRecording,
    PauseRecording,
    ReplayRecording,
    ResumeRecording,
    StopRecording,
    SyncRecording,
)
from recording_schemas.envelope import encode_event
from recording_schemas.error_codes import with_error_section
from recording_schemas.event_parts import ErrorInfo
from recording_schemas.events import EVENT_TYPES, EventData, Outcome
from recording_schemas.example_values import (
    ALICE,
    BOB,
    FILE,
    INVOKED,
    MEETING,
    METADATA,
    PARTICIPANT,
    PEER,
    RECORDING,
    SESSION,
    START,
    STARTED,
    STOPPED,
    UPLOADED,
    WITHOUT_FILE,
)
from recording_schemas.manifest import MANIFEST_NAME
from recording_schemas.outcome_events import (
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
)
from recording_schemas.recording_events import Completed, FileReady, FileUrlRenewed, StatusChanged
from recording_schemas.start_recording import StartRecording
from recording_schemas.start_track_recording import (
    StartTrackRecording,
    TrackLayer,
    TrackLayers,
)
from recording_schemas.values import Status

_EVENT_IDS: Final = UUID("6f1d3b0e-52c7-5d0c-9c0b-7a1f0c1c2a55")
"""The namespace of the worker's event ids."""
_FIRST_NUMBER: Final = 5
"""The number of the first example among the events of its recording."""

COMMANDS: Final[tuple[Command, ...]] = (
    StartTrackRecording(
        id=START,
        deadline=datetime(2036, 1, 1, 10, 5, 0, tzinfo=UTC),
        meeting_id=MEETING,
        user_ids=(ALICE, BOB),
        custom_participant_ids=("bob@example.com",),
        max_seconds=5400,
        wait_for_session=True,
        layers=TrackLayers(default=TrackLayer(media_kind="audio", file_name_prefix="weekly_sync")),
        metadata=METADATA,
    ),
    StartRecording(
        id="weekly-2026-01-01-mixed",
        meeting_id=MEETING,
        allow_multiple_recordings=True,
        audio_config=AudioConfig(codec="AAC", channel="stereo", export_file=True),
        file_name_prefix="weekly_sync",
        max_seconds=7200,
        storage_profile="archive",
        video_config=VideoConfig(
            codec="H264",
            width=1280,
            height=720,
            watermark=Watermark(
                position="right top",
                size=WatermarkSize(width=120, height=40),
                url="https://example.com/logo.png",
            ),
        ),
    ),
    StopRecording(id="weekly-2026-01-01-stop", start_id=START),
    PauseRecording(id="weekly-2026-01-01-pause", recording_id=RECORDING),
    ResumeRecording(id="weekly-2026-01-01-resume", meeting_id=MEETING, kind="track"),
    SyncRecording(id="weekly-2026-01-01-sync", recording_id=RECORDING),
    ReplayRecording(id="weekly-2026-01-01-replay", start_id=START),
    ArchiveRecording(id="weekly-2026-01-01-archive", recording_id=RECORDING),
)

_FILE_READY: Final = FileReady(
    recording_id=RECORDING,
    meeting_id=MEETING,
    session_id=SESSION,
    kind="track",
    layer="default",
    file_name=FILE,
    user_id=ALICE,
    peer_id=PEER,
    custom_participant_id="alice@example.com",
    stream_kind="peer",
    media_kind="audio",
    recorded_at=STARTED,
    download_url="https://files.example.com/" + FILE,
    download_url_expiry=datetime(2026, 1, 8, 10, 30, 40, tzinfo=UTC),
    file_index=1,
    file_count=1,
    storage=None,
    start_id=START,
    participant=PARTICIPANT,
    metadata=METADATA,
)
_RENEWED: Final = {
    "download_url": f"https://files.example.com/{FILE}?signature=new",
    "download_url_expiry": datetime(2026, 1, 12, 9, 0, 0, tzinfo=UTC),
}

EVENTS: Final[tuple[EventData, ...]] = (
    StatusChanged(
        recording_id=RECORDING,
        meeting_id=MEETING,
        session_id=SESSION,
        kind="track",
        status=Status.UPLOADED,
        previous_status=Status.UPLOADING,
        observed_by="webhook",
        observed_at=UPLOADED,
        invoked_time=INVOKED,
        started_time=STARTED,
        stopped_time=STOPPED,
        recording_duration=1800,
        output_file_name="weekly_sync_{{user_id}}_{{peer_id}}.webm",
        start_reason="API_CALL",
        stop_reason="ALL_PEERS_LEFT",
        start_id=START,
        error=None,
        metadata=METADATA,
    ),
    _FILE_READY,
    FileUrlRenewed(**{**msgspec.structs.asdict(_FILE_READY), **_RENEWED}),
    Completed(
        recording_id=RECORDING,
        meeting_id=MEETING,
        kind="track",
        status=Status.UPLOADED,
        file_count=1,
        files=(FILE,),
        recording_duration=1800,
        start_id=START,
        participants_without_file=(WITHOUT_FILE,),
        metadata=METADATA,
    ),
    *ARCHIVE_EVENTS,
    CommandSucceeded(
        command_id=START,
        command_type="start_track_recording",
        recording_ids=(RECORDING,),
        metadata=METADATA,
    ),
    CommandRejected(
        command_id="weekly-2026-01-02-start",
        command_type="start_track_recording",
        code="unknown_field",
        message=with_error_section(
            "unknown_field", "field `user_id` is not known; did you mean `user_ids`?"
        ),
        field="user_id",
        http_status=None,
        metadata=None,
    ),
    CommandExpired(
        command_id="weekly-2026-01-03-start",
        command_type="start_track_recording",
        attempts=3,
        metadata=None,
    ),
    CommandFailed(
        command_id="weekly-2026-01-04-start",
        command_type="start_track_recording",
        attempts=9,
        last_error=ErrorInfo(
            code="server_error",
            message=with_error_section("server_error", "the API responded with status 503"),
        ),
        metadata=None,
    ),
)


def documents() -> dict[str, Any]:
    """The examples as JSON values, by the command's or the event's type, and the manifest."""
    commands = {command.command_type: msgspec.json.encode(command) for command in COMMANDS}
    events = {EVENT_TYPES[type(data)]: _encoded(data) for data in EVENTS}
    bodies = {**commands, **events, MANIFEST_NAME: msgspec.json.encode(MANIFEST)}
    return {name: msgspec.json.decode(body) for name, body in bodies.items()}


def _encoded(data: EventData) -> bytes:
    """The event as the worker sends it, whose ids are hashes of the fact."""
    if isinstance(data, Outcome):
        return _envelope(data, data.command_id, f"outcome/{data.command_id}", None)
    number = _FIRST_NUMBER + EVENTS.index(data)
    fact = f"recording/{data.recording_id}/{number}"
    return _envelope(data, data.recording_id, fact, f"{number:012d}")


def _envelope(data: EventData, subject: str, fact: str, sequence: str | None) -> bytes:
    return encode_event(
        data,
        id=str(uuid5(_EVENT_IDS, fact)),
        source="recording-worker",
        subject=subject,
        time=UPLOADED,
        sequence=sequence,
    )
