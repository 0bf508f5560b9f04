"""Builds the events of a recording from its state after a change. Pure."""

from collections.abc import Sequence

import msgspec

from recording_schemas import (
    Completed,
    FileReady,
    FileUrlRenewed,
    ParticipantInfo,
    StatusChanged,
    StorageInfo,
)
from worker.domain.recording import Observation, Recording
from worker.domain.snapshot import Participant
from worker.domain.track_files import TrackFile


def status_changed(
    after: Recording, before: Recording | None, observation: Observation
) -> StatusChanged:
    """The event of a new status. `before` is the state before it, None on the first one."""
    return StatusChanged(
        recording_id=after.recording_id,
        meeting_id=after.meeting_id,
        session_id=after.session_id,
        kind=after.kind,
        status=after.status,
        previous_status=before.status if before else None,
        observed_by=observation.observed_by,
        observed_at=observation.observed_at,
        invoked_time=after.invoked_time,
        started_time=after.started_time,
        stopped_time=after.stopped_time,
        recording_duration=after.recording_duration,
        output_file_name=after.output_file_name,
        start_reason=after.start_reason,
        stop_reason=after.stop_reason,
        start_id=after.start_id,
        error=after.error,
        metadata=after.metadata,
    )


def files_ready(
    after: Recording, files: Sequence[TrackFile], observation: Observation, names: Sequence[str]
) -> list[FileReady]:
    """The events of the new `files`. `names` are all files that are announced by then."""
    first = len(names) - len(files) + 1
    return [
        _file_ready(after, file, observation, index, len(names))
        for index, file in enumerate(files, start=first)
    ]


def urls_renewed(
    after: Recording, files: Sequence[TrackFile], observation: Observation, names: Sequence[str]
) -> list[FileUrlRenewed]:
    """The events of announced `files` that have a new URL. They keep their numbers."""
    events = described_files(after, files, observation, names)
    return [FileUrlRenewed(**msgspec.structs.asdict(event)) for event in events]


def described_files(
    after: Recording, files: Sequence[TrackFile], observation: Observation, names: Sequence[str]
) -> list[FileReady]:
    """Announced `files` as an observation shows them, with their numbers by `names`."""
    if not files:
        return []
    numbers = {name: number for number, name in enumerate(names, start=1)}
    return [
        _file_ready(after, file, observation, numbers[file.file_name], len(names)) for file in files
    ]


def _file_ready(
    after: Recording, file: TrackFile, observation: Observation, index: int, count: int
) -> FileReady:
    storage = observation.snapshot.storage if file.download_url is None else None
    return FileReady(
        recording_id=after.recording_id,
        meeting_id=after.meeting_id,
        session_id=after.session_id,
        kind=after.kind,
        layer=file.layer,
        file_name=file.file_name,
        user_id=file.user_id,
        peer_id=file.peer_id,
        custom_participant_id=file.custom_participant_id,
        stream_kind=file.stream_kind,
        media_kind=file.media_kind,
        recorded_at=file.recorded_at,
        download_url=file.download_url,
        download_url_expiry=observation.snapshot.download_url_expiry,
        file_index=index,
        file_count=count,
        storage=StorageInfo(type=storage.type, bucket=storage.bucket, path=storage.path)
        if storage
        else None,
        start_id=after.start_id,
        participant=_participant_info(file.participant),
        metadata=after.metadata,
    )


def _participant_info(participant: Participant | None) -> ParticipantInfo | None:
    return (
        ParticipantInfo(
            user_id=participant.user_id,
            peer_id=participant.peer_id,
            custom_participant_id=participant.custom_participant_id,
            display_name=participant.display_name,
            preset_name=participant.preset_name,
            joined_at=participant.joined_at,
            left_at=participant.left_at,
        )
        if participant
        else None
    )


def completed(after: Recording, names: Sequence[str], observation: Observation) -> Completed:
    """The event of a recording that has ended, with the `names` of all its files."""
    without_file = observation.without_file
    if without_file is None and after.file_search is not None:
        without_file = after.file_search.without_file
    return Completed(
        recording_id=after.recording_id,
        meeting_id=after.meeting_id,
        kind=after.kind,
        status=after.status,
        file_count=len(names),
        files=tuple(names),
        recording_duration=after.recording_duration,
        start_id=after.start_id,
        participants_without_file=without_file if after.kind == "track" else None,
        metadata=after.metadata,
    )
