"""Builds the events of the archive. Pure."""

from collections.abc import Sequence
from datetime import datetime

from recording_schemas import Archived, ArchiveFailed, ErrorInfo, FileArchived, FileReady
from worker.domain.archive import CopiedFile
from worker.domain.recording import Recording


def file_archived(
    recording: Recording, file: FileReady, copied: CopiedFile, at: datetime
) -> FileArchived:
    """The event of a file whose copy was compared with the sent bytes."""
    return FileArchived(
        recording_id=recording.recording_id,
        meeting_id=recording.meeting_id,
        session_id=recording.session_id,
        kind=recording.kind,
        file_name=file.file_name,
        media_kind=file.media_kind,
        user_id=file.user_id,
        peer_id=file.peer_id,
        custom_participant_id=file.custom_participant_id,
        participant=file.participant,
        archive_url=copied.archive_url,
        size_bytes=copied.size_bytes,
        sha256=copied.sha256,
        content_type=copied.content_type,
        duration_seconds=copied.duration_seconds,
        archived_at=at,
        start_id=recording.start_id,
        metadata=recording.metadata,
    )


def archived(recording: Recording, copies: Sequence[CopiedFile], manifest_url: str) -> Archived:
    """The event of a manifest that lists these copies."""
    return Archived(
        recording_id=recording.recording_id,
        meeting_id=recording.meeting_id,
        kind=recording.kind,
        file_count=len(copies),
        total_bytes=sum(copy.size_bytes for copy in copies),
        manifest_url=manifest_url,
        start_id=recording.start_id,
        metadata=recording.metadata,
    )


def archive_failed(
    recording: Recording, file_name: str | None, *, attempts: int, final: bool, error: ErrorInfo
) -> ArchiveFailed:
    """The event of a file that was given up (`final`), or that the storage refuses. Without a
    file name: of a manifest that the storage refuses."""
    return ArchiveFailed(
        recording_id=recording.recording_id,
        meeting_id=recording.meeting_id,
        kind=recording.kind,
        file_name=file_name,
        attempts=attempts,
        final=final,
        error=error,
        start_id=recording.start_id,
        metadata=recording.metadata,
    )
