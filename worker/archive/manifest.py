"""Composes the manifest of a recording from the store's data. Pure."""

from datetime import datetime

from recording_schemas import (
    Manifest,
    ManifestFile,
    ManifestPerson,
    ManifestRecording,
    ManifestStart,
    ManifestStatus,
)
from worker.archive.manifest_people import manifest_participants
from worker.domain.archive import ArchiveFile, RecordingArchive, StatusTime
from worker.domain.recording import Recording, StartContext
from worker.domain.times import utc


def compose_manifest(archive: RecordingArchive) -> Manifest:
    """The manifest of a recording. The same state always makes the same manifest."""
    recording = archive.recording
    files = tuple(sorted(archive.files, key=lambda file: file.file_index))
    is_track = recording.kind == "track"
    return Manifest(
        version=1,
        recording=_recording(recording),
        start=_start(recording.start, archive) if recording.start else None,
        participants=manifest_participants(recording, files, archive.participants),
        files=tuple(map(_file, files)),
        participants_without_file=archive.without_file if is_track else None,
        timeline=tuple(map(_status, archive.timeline)),
    )


def _recording(recording: Recording) -> ManifestRecording:
    return ManifestRecording(
        recording_id=recording.recording_id,
        meeting_id=recording.meeting_id,
        session_id=recording.session_id,
        kind=recording.kind,
        app=recording.app,
        status=recording.status,
        invoked_time=recording.invoked_time,
        started_time=recording.started_time,
        stopped_time=recording.stopped_time,
        recording_duration=recording.recording_duration,
        start_reason=recording.start_reason,
        stop_reason=recording.stop_reason,
        error=recording.error,
    )


def _start(start: StartContext, archive: RecordingArchive) -> ManifestStart:
    """The start, with each person's custom id from the start, else from a stay in the session."""
    custom_ids = {
        stay.user_id: stay.custom_participant_id
        for stay in archive.participants or ()
        if stay.custom_participant_id
    } | start.custom_ids
    return ManifestStart(
        start_id=start.start_id,
        metadata=start.metadata,
        asked_for=tuple(
            ManifestPerson(user_id=user_id, custom_participant_id=custom_ids.get(user_id))
            for user_id in dict.fromkeys(start.user_ids)
        ),
    )


def _file(row: ArchiveFile) -> ManifestFile:
    file, copied = row.file, row.archived
    return ManifestFile(
        file_name=file.file_name,
        file_index=row.file_index,
        state=row.state,
        media_kind=file.media_kind,
        layer=file.layer,
        stream_kind=file.stream_kind,
        user_id=file.user_id,
        peer_id=file.peer_id,
        custom_participant_id=file.custom_participant_id,
        recorded_at=file.recorded_at,
        archive_url=copied.archive_url if copied else None,
        size_bytes=copied.size_bytes if copied else None,
        sha256=copied.sha256 if copied else None,
        content_type=copied.content_type if copied else None,
        duration_seconds=copied.duration_seconds if copied else None,
        archived_at=_time(row.archived_at) if copied else None,
        storage=file.storage,
        error=row.last_error if row.state != "archived" else None,
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else utc(seconds)


def _status(status: StatusTime) -> ManifestStatus:
    return ManifestStatus(
        status=status.status,
        observed_at=status.observed_at,
        observed_by=status.observed_by,
        invoked_time=status.invoked_time,
        started_time=status.started_time,
        stopped_time=status.stopped_time,
        stop_reason=status.stop_reason,
        error=status.error,
    )
