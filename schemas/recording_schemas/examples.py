"""One example of every message, for readers, for tests and for the generated documents."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from recording_schemas.commands import Command
from recording_schemas.composite import AudioConfig, VideoConfig, Watermark, WatermarkSize
from recording_schemas.control_commands import (
    PauseRecording,
    ReplayRecording,
    ResumeRecording,
    StopRecording,
    SyncRecording,
)
from recording_schemas.envelope import encode_event
from recording_schemas.error_codes import with_error_url
from recording_schemas.event_parts import ErrorInfo, ParticipantInfo, ParticipantWithoutFile
from recording_schemas.events import EVENT_TYPES, EventData, Outcome
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

_MEETING: Final = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
_SESSION: Final = "7d0f2a94-1f6c-4c0e-8f7b-3b9b5e0c6a12"
_RECORDING: Final = "b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"
_ALICE: Final = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05"
_PEER: Final = "c9e8d7b6-a504-4392-8170-6f5e4d3c2b07"
_FILE: Final = f"weekly_sync_{_ALICE}_{_PEER}_peer_audio_1767261605000.webm"
_METADATA: Final = {"case": "2026-0117", "team": "support"}
_INVOKED: Final = datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC)
_STARTED: Final = datetime(2026, 1, 1, 10, 0, 5, tzinfo=UTC)
_STOPPED: Final = datetime(2026, 1, 1, 10, 30, 5, tzinfo=UTC)
_UPLOADED: Final = datetime(2026, 1, 1, 10, 30, 40, tzinfo=UTC)

_EVENT_IDS: Final = UUID("6f1d3b0e-52c7-5d0c-9c0b-7a1f0c1c2a55")
"""The namespace of the worker's event ids."""
_FIRST_NUMBER: Final = 5
"""The number of the first example among the events of its recording."""

COMMANDS: Final[tuple[Command, ...]] = (
    StartTrackRecording(
        id="weekly-2026-01-01-start",
        deadline=datetime(2036, 1, 1, 10, 5, 0, tzinfo=UTC),
        meeting_id=_MEETING,
        user_ids=(_ALICE, "aaa2c4e6-8a0b-4c1d-9e2f-3a4b5c6d7e06"),
        custom_participant_ids=("bob@example.com",),
        max_seconds=5400,
        wait_for_session=True,
        layers=TrackLayers(default=TrackLayer(media_kind="audio", file_name_prefix="weekly_sync")),
        metadata=_METADATA,
    ),
    StartRecording(
        id="weekly-2026-01-01-mixed",
        meeting_id=_MEETING,
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
    StopRecording(id="weekly-2026-01-01-stop", start_id="weekly-2026-01-01-start"),
    PauseRecording(id="weekly-2026-01-01-pause", recording_id=_RECORDING),
    ResumeRecording(id="weekly-2026-01-01-resume", meeting_id=_MEETING, kind="track"),
    SyncRecording(id="weekly-2026-01-01-sync", recording_id=_RECORDING),
    ReplayRecording(id="weekly-2026-01-01-replay", start_id="weekly-2026-01-01-start"),
)

_FILE_READY: Final = FileReady(
    recording_id=_RECORDING,
    meeting_id=_MEETING,
    session_id=_SESSION,
    kind="track",
    layer="default",
    file_name=_FILE,
    user_id=_ALICE,
    peer_id=_PEER,
    custom_participant_id="alice@example.com",
    stream_kind="peer",
    media_kind="audio",
    recorded_at=_STARTED,
    download_url="https://files.example.com/" + _FILE,
    download_url_expiry=datetime(2026, 1, 8, 10, 30, 40, tzinfo=UTC),
    file_index=1,
    file_count=1,
    storage=None,
    start_id="weekly-2026-01-01-start",
    participant=ParticipantInfo(
        user_id=_ALICE,
        peer_id=_PEER,
        custom_participant_id="alice@example.com",
        display_name="Alice",
        preset_name="group_call_host",
        joined_at=_STARTED,
        left_at=_STOPPED,
    ),
    metadata=_METADATA,
)
_RENEWED: Final = {
    "download_url": f"https://files.example.com/{_FILE}?signature=new",
    "download_url_expiry": datetime(2026, 1, 12, 9, 0, 0, tzinfo=UTC),
}

EVENTS: Final[tuple[EventData, ...]] = (
    StatusChanged(
        recording_id=_RECORDING,
        meeting_id=_MEETING,
        session_id=_SESSION,
        kind="track",
        status=Status.UPLOADED,
        previous_status=Status.UPLOADING,
        observed_by="webhook",
        observed_at=_UPLOADED,
        invoked_time=_INVOKED,
        started_time=_STARTED,
        stopped_time=_STOPPED,
        recording_duration=1800,
        output_file_name="weekly_sync_{{user_id}}_{{peer_id}}.webm",
        start_reason="API_CALL",
        stop_reason="ALL_PEERS_LEFT",
        start_id="weekly-2026-01-01-start",
        error=None,
        metadata=_METADATA,
    ),
    _FILE_READY,
    FileUrlRenewed(**{**msgspec.structs.asdict(_FILE_READY), **_RENEWED}),
    Completed(
        recording_id=_RECORDING,
        meeting_id=_MEETING,
        kind="track",
        status=Status.UPLOADED,
        file_count=1,
        files=(_FILE,),
        recording_duration=1800,
        start_id="weekly-2026-01-01-start",
        participants_without_file=(
            ParticipantWithoutFile(
                user_id="aaa2c4e6-8a0b-4c1d-9e2f-3a4b5c6d7e06",
                custom_participant_id="bob@example.com",
                joined=True,
            ),
        ),
        metadata=_METADATA,
    ),
    CommandSucceeded(
        command_id="weekly-2026-01-01-start",
        command_type="start_track_recording",
        recording_ids=(_RECORDING,),
        metadata=_METADATA,
    ),
    CommandRejected(
        command_id="weekly-2026-01-02-start",
        command_type="start_track_recording",
        code="unknown_field",
        message=with_error_url(
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
            message=with_error_url("server_error", "the API responded with status 503"),
        ),
        metadata=None,
    ),
)


def documents() -> dict[str, Any]:
    """The examples as JSON values, by the command's or the event's type."""
    commands = {command.command_type: msgspec.json.encode(command) for command in COMMANDS}
    events = {EVENT_TYPES[type(data)]: _encoded(data) for data in EVENTS}
    return {name: msgspec.json.decode(body) for name, body in {**commands, **events}.items()}


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
        time=_UPLOADED,
        sequence=sequence,
    )
