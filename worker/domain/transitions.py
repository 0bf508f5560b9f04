"""What of a new sight of a recording is news, and what the recording is after it. Pure: no clock,
no I/O.

Statuses never go backwards, except RECORDING ⇄ PAUSED, and nothing follows an end, with one
exception: an ERRORED that the worker concluded itself is followed by the truth.
"""

from collections.abc import Sequence

import msgspec

from recording_schemas import (
    Completed,
    ErrorInfo,
    FileReady,
    Status,
    StatusChanged,
    StorageInfo,
)
from worker.domain.recording import LIVE, RANK, STALLED, Observation, Recording, RecordingEvent
from worker.domain.track_files import TrackFile


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What a sight makes of a recording: its state after, the news, and the files that are new."""

    after: Recording
    events: tuple[RecordingEvent, ...] = ()
    new_files: tuple[TrackFile, ...] = ()


def apply_observation(
    known: Recording | None, seen: Observation, known_files: Sequence[str] = ()
) -> Transition:
    """Hold what was just seen against what is known.

    `known_files` are the names of the files that were already announced, in their order. When
    nothing is new, `after` equals `known` and there are no events. The status change comes first,
    then the files in their order, then the completion. A webhook that is not to be believed
    changes nothing, nor does a conclusion that the recording has outrun.
    """
    if known is not None and _is_void(known, seen):
        return Transition(after=known)
    before = known or _first_sight(seen)
    status = _status_after(known, seen)
    after = _merged(before, seen, status)
    events: list[RecordingEvent] = []
    if known is None or status is not known.status:
        after = _moved(after, known, seen, status)
        events.append(_status_changed(after, known, seen))
    new_files = _new_files(seen, known_files)
    names = (*known_files, *(file.file_name for file in new_files))
    events += [
        _file_ready(after, file, seen, index, len(names))
        for index, file in enumerate(new_files, start=len(known_files) + 1)
    ]
    if _has_ended(after, seen, len(names)):
        if not after.completed:
            events.append(_completed(after, names))
        after = msgspec.structs.replace(after, completed=True, files_awaited_since=None)
    if new_files:
        after = msgspec.structs.replace(after, file_count=len(names))
    if after != known:
        after = msgspec.structs.replace(
            after, version=after.version + 1, sequence=after.sequence + len(events)
        )
    return Transition(after=after, events=tuple(events), new_files=new_files)


def webhook_contradicts(known: Recording, seen: Observation) -> bool:
    """Whether a webhook contradicts what is known and only the API can tell which holds.

    What tells of an earlier status is old, and settled.
    """
    told = seen.snapshot.status
    if told is known.status or _is_believed(known, seen):
        return False
    return known.timed_out or RANK[told] >= RANK[known.status]


def _is_void(known: Recording, seen: Observation) -> bool:
    if seen.timeout_error is not None:
        return not _is_fresh(known, seen)  # it has moved on since that was concluded
    return seen.observed_by == "webhook" and not _is_believed(known, seen)


def _is_believed(known: Recording, seen: Observation) -> bool:
    """A webhook has no time, it may be late or a repeat: what it says was so at some time.

    So it can move a recording forward, but not between RECORDING and PAUSED; and of one that the
    worker gave up, only its end can be believed, which stays true.
    """
    told = seen.snapshot.status
    if known.kind == "composite" and seen.snapshot.error_message:
        return False  # these words may repeat secrets of its storage, which only an answer names
    return told not in LIVE if known.timed_out else RANK[told] > RANK[known.status]


def _first_sight(seen: Observation) -> Recording:
    snapshot = seen.snapshot
    return Recording(
        recording_id=snapshot.recording_id,
        app=seen.app,
        kind=snapshot.kind or "composite",
        status=snapshot.status,
        first_seen_at=seen.observed_at,
    )


def _status_after(known: Recording | None, seen: Observation) -> Status:
    told = seen.snapshot.status
    if known is None or known.status is told:
        return told
    if seen.missing:
        return known.status
    if known.timed_out and seen.timeout_error is None:
        return told if _refutes(known, seen) else known.status
    if RANK[told] != RANK[known.status]:
        return max(told, known.status, key=RANK.__getitem__)
    if told in LIVE and _is_fresh(known, seen):
        return told
    return known.status


def _refutes(known: Recording, seen: Observation) -> bool:
    """Whether the API tells that the worker's own conclusion was wrong."""
    told = seen.snapshot.status
    if told not in LIVE:
        return True
    if not _is_fresh(known, seen):
        return False
    stalled = known.error is not None and known.error.code == STALLED
    return not stalled or RANK[told] > RANK[known.timed_out_from or Status.INVOKED]


def _is_fresh(known: Recording, seen: Observation) -> bool:
    """An answer that was asked for before the last change may tell of the time before it."""
    return known.changed_at is None or seen.asked_at >= known.changed_at


def _merged(before: Recording, seen: Observation, status: Status) -> Recording:
    snapshot = seen.snapshot
    before = msgspec.structs.replace(
        before,
        start=before.start or seen.start,
        missing_since=(before.missing_since or seen.asked_at) if seen.missing else None,
    )
    if snapshot.status is not status:  # an old tale: its details are old as well
        return before
    return msgspec.structs.replace(
        before,
        meeting_id=snapshot.meeting_id or before.meeting_id,
        session_id=snapshot.session_id or before.session_id,
        invoked_time=snapshot.invoked_time or before.invoked_time,
        started_time=snapshot.started_time or before.started_time,
        stopped_time=snapshot.stopped_time or before.stopped_time,
        recording_duration=_given(snapshot.recording_duration, before.recording_duration),
        output_file_name=snapshot.output_file_name or before.output_file_name,
        start_reason=snapshot.start_reason or before.start_reason,
        stop_reason=snapshot.stop_reason or before.stop_reason,
    )


def _given(told: int | None, known: int | None) -> int | None:
    return known if told is None else told


def _moved(
    after: Recording, known: Recording | None, seen: Observation, status: Status
) -> Recording:
    error = seen.timeout_error
    if status is Status.ERRORED and error is None:
        error = ErrorInfo(
            code="recording_errored",
            message=seen.snapshot.error_message or "the API reports ERRORED without a reason",
        )
    uploaded = status is Status.UPLOADED
    return msgspec.structs.replace(
        after,
        status=status,
        error=error,
        timed_out=seen.timeout_error is not None,
        timed_out_from=known.status if known and seen.timeout_error is not None else None,
        changed_at=seen.observed_at,
        files_awaited_since=seen.observed_at if uploaded else None,
    )


def _new_files(seen: Observation, known_files: Sequence[str]) -> tuple[TrackFile, ...]:
    announced = set(known_files)
    return tuple(file for file in seen.files or () if file.file_name not in announced)


def _has_ended(after: Recording, seen: Observation, file_count: int) -> bool:
    if after.status is Status.ERRORED:
        return True
    looked = after.status is Status.UPLOADED and seen.files is not None
    return looked and (file_count > 0 or seen.files_final)


def _status_changed(after: Recording, known: Recording | None, seen: Observation) -> StatusChanged:
    return StatusChanged(
        recording_id=after.recording_id,
        meeting_id=after.meeting_id,
        session_id=after.session_id,
        kind=after.kind,
        status=after.status,
        previous_status=known.status if known else None,
        observed_by=seen.observed_by,
        observed_at=seen.observed_at,
        invoked_time=after.invoked_time,
        started_time=after.started_time,
        stopped_time=after.stopped_time,
        recording_duration=after.recording_duration,
        output_file_name=after.output_file_name,
        start_reason=after.start_reason,
        stop_reason=after.stop_reason,
        start_id=after.start_id,
        error=after.error,
    )


def _file_ready(
    after: Recording, file: TrackFile, seen: Observation, index: int, count: int
) -> FileReady:
    storage = seen.snapshot.storage
    elsewhere = storage is not None and file.download_url is None
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
        download_url_expiry=seen.snapshot.download_url_expiry,
        file_index=index,
        file_count=count,
        storage=StorageInfo(type=storage.type, bucket=storage.bucket, path=storage.path)
        if storage is not None and elsewhere
        else None,
        start_id=after.start_id,
    )


def _completed(after: Recording, names: Sequence[str]) -> Completed:
    return Completed(
        recording_id=after.recording_id,
        meeting_id=after.meeting_id,
        kind=after.kind,
        status=after.status,
        file_count=len(names),
        files=tuple(names),
        recording_duration=after.recording_duration,
        start_id=after.start_id,
    )
