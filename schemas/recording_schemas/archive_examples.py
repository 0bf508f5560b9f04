"""The examples of the archive: its events and the manifest of the recording."""

from datetime import UTC, datetime
from typing import Final

from recording_schemas.archive_events import Archived, ArchiveFailed, FileArchived
from recording_schemas.event_parts import ErrorInfo
from recording_schemas.events import ArchiveEvent
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
from recording_schemas.manifest import Manifest, ManifestRecording, ManifestStart, ManifestStatus
from recording_schemas.manifest_files import ManifestFile
from recording_schemas.manifest_people import ManifestParticipant, ManifestPerson, ManifestStay
from recording_schemas.values import Status

_FOLDER: Final = f"s3://company-archive/default/{MEETING}/{RECORDING}"
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ARCHIVED: Final = datetime(2026, 1, 1, 10, 31, 2, tzinfo=UTC)

ARCHIVE_EVENTS: Final[tuple[ArchiveEvent, ...]] = (
    FileArchived(
        recording_id=RECORDING,
        meeting_id=MEETING,
        session_id=SESSION,
        kind="track",
        file_name=FILE,
        media_kind="audio",
        user_id=ALICE,
        peer_id=PEER,
        custom_participant_id="alice@example.com",
        participant=PARTICIPANT,
        archive_url=f"{_FOLDER}/{FILE}",
        size_bytes=14_680_064,
        sha256=_SHA256,
        content_type="audio/webm",
        duration_seconds=1799.98,
        archived_at=_ARCHIVED,
        start_id=START,
        metadata=METADATA,
    ),
    Archived(
        recording_id=RECORDING,
        meeting_id=MEETING,
        kind="track",
        file_count=1,
        total_bytes=14_680_064,
        manifest_url=f"{_FOLDER}/manifest.json",
        start_id=START,
        metadata=METADATA,
    ),
    ArchiveFailed(
        recording_id=RECORDING,
        meeting_id=MEETING,
        kind="track",
        file_name=FILE,
        attempts=5,
        final=False,
        error=ErrorInfo(
            code="storage_refused", message="the storage responded with status 403 to the upload"
        ),
        start_id=START,
        metadata=METADATA,
    ),
)


def _status(status: Status, observed_at: datetime) -> ManifestStatus:
    stopped = status in {Status.UPLOADING, Status.UPLOADED}
    return ManifestStatus(
        status=status,
        observed_at=observed_at,
        observed_by="command" if status is Status.INVOKED else "webhook",
        invoked_time=INVOKED,
        started_time=None if status is Status.INVOKED else STARTED,
        stopped_time=STOPPED if stopped else None,
        stop_reason="ALL_PEERS_LEFT" if stopped else None,
        error=None,
    )


MANIFEST: Final = Manifest(
    version=1,
    recording=ManifestRecording(
        recording_id=RECORDING,
        meeting_id=MEETING,
        session_id=SESSION,
        kind="track",
        app="default",
        status=Status.UPLOADED,
        invoked_time=INVOKED,
        started_time=STARTED,
        stopped_time=STOPPED,
        recording_duration=1800,
        start_reason="API_CALL",
        stop_reason="ALL_PEERS_LEFT",
        error=None,
    ),
    start=ManifestStart(
        start_id=START,
        metadata=METADATA,
        asked_for=(
            ManifestPerson(user_id=ALICE, custom_participant_id="alice@example.com"),
            ManifestPerson(user_id=BOB, custom_participant_id="bob@example.com"),
        ),
    ),
    participants=(
        ManifestParticipant(
            user_id=ALICE,
            custom_participant_id="alice@example.com",
            display_name="Alice",
            preset_name="group_call_host",
            expected=True,
            stays=(ManifestStay(peer_id=PEER, joined_at=STARTED, left_at=STOPPED, files=(FILE,)),),
            files=(FILE,),
        ),
        ManifestParticipant(
            user_id=BOB,
            custom_participant_id="bob@example.com",
            display_name="Bob",
            preset_name="group_call_participant",
            expected=True,
            stays=(
                ManifestStay(
                    peer_id="d1f0e9d8-b615-4403-9281-7a6b5c4d3e08",
                    joined_at=STARTED,
                    left_at=STOPPED,
                    files=(),
                ),
            ),
            files=(),
        ),
    ),
    files=(
        ManifestFile(
            file_name=FILE,
            file_index=1,
            state="archived",
            media_kind="audio",
            layer="default",
            stream_kind="peer",
            user_id=ALICE,
            peer_id=PEER,
            custom_participant_id="alice@example.com",
            recorded_at=STARTED,
            archive_url=f"{_FOLDER}/{FILE}",
            size_bytes=14_680_064,
            sha256=_SHA256,
            content_type="audio/webm",
            duration_seconds=1799.98,
            archived_at=_ARCHIVED,
            storage=None,
            error=None,
        ),
    ),
    participants_without_file=(WITHOUT_FILE,),
    timeline=(
        _status(Status.INVOKED, INVOKED),
        _status(Status.RECORDING, STARTED),
        _status(Status.UPLOADING, STOPPED),
        _status(Status.UPLOADED, UPLOADED),
    ),
)
