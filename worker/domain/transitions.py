"""Applies one observation to a recording: the new state and the events it produces. Pure.

`apply_observation` goes through these stages. `accepted_status` has the first two:

    1. ignore     an untrusted observation changes nothing
    2. status     the status that is valid now: the known one or the observed one
    3. details    copy ids, times and names, if the observation is about that status
    4. change     a new status starts or ends the wait for files, and is announced
    5. duration   the first RECORDING sets the stop time of a recording with limited duration
    6. files      announce the files that are new and can be fetched, then URLs that are new
    7. completion announce the end when nothing more is awaited, and again after each later file
    8. count      number the change and its events
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from recording_schemas import ErrorInfo, Status
from worker.domain.accepted_status import is_ignored, status_after
from worker.domain.file_search import is_ready, search_after
from worker.domain.max_duration import with_stop_at
from worker.domain.recording import LIVE, Observation, Recording, RecordingEvent
from worker.domain.recording_events import completed, files_ready, status_changed, urls_renewed
from worker.domain.track_files import TrackFile
from worker.domain.url_renewals import PublishedUrl, renewed_files

WITHHELD_MESSAGE: Final = "the API's message is withheld because it may repeat credentials"

NO_URLS: Final[Mapping[str, PublishedUrl]] = MappingProxyType({})


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """The effect of one observation: the state after it, its events, the files that are new, and
    the announced files whose URL is new."""

    after: Recording
    events: tuple[RecordingEvent, ...] = ()
    new_files: tuple[TrackFile, ...] = ()
    renewed_files: tuple[TrackFile, ...] = ()


def apply_observation(
    recording: Recording | None,
    observation: Observation,
    known_files: Sequence[str] = (),
    published_urls: Mapping[str, PublishedUrl] = NO_URLS,
) -> Transition:
    """Apply an observation to the known state of its recording, None if there is none.

    `known_files` are the names of the files that were announced before, in their order, and
    `published_urls` their URLs by name. If nothing is new, `after` equals `recording`, and there
    are no events. The events are the status change, then the files in their order, then the new
    URLs, then the completion.
    """
    if recording is not None and is_ignored(recording, observation):
        return Transition(after=recording)
    status = status_after(recording, observation)
    after = _with_details(recording or _first_state(observation), observation, status)
    events: list[RecordingEvent] = []
    if recording is None or status is not recording.status:
        after = _with_status(after, recording, observation, status)
        events.append(status_changed(after, recording, observation))
    after = with_stop_at(after, recording, observation)
    new_files = _new_files(after, observation, known_files)
    names = (*known_files, *(file.file_name for file in new_files))
    events += files_ready(after, new_files, observation, names)
    renewed = renewed_files(observation, published_urls)
    events += urls_renewed(after, renewed, observation, names)
    after = _with_files(after, observation, len(names))
    if _is_complete(after, observation):
        if new_files or not after.completed:
            events.append(completed(after, names, observation))
        after = _with_completion(after, observation)
    elif new_files:
        after = msgspec.structs.replace(after, completed=False)
    if after != recording or events:
        after = _numbered(after, len(events))
    return Transition(after=after, events=tuple(events), new_files=new_files, renewed_files=renewed)


# 3. Details


def _first_state(observation: Observation) -> Recording:
    snapshot = observation.snapshot
    return Recording(
        recording_id=snapshot.recording_id,
        app=observation.app,
        kind=snapshot.kind or "composite",
        kind_is_guessed=snapshot.kind is None or snapshot.kind_is_guessed,
        status=snapshot.status,
        first_seen_at=observation.observed_at,
    )


def _with_details(before: Recording, observation: Observation, status: Status) -> Recording:
    snapshot = observation.snapshot
    missing_since = (before.missing_since or observation.asked_at) if observation.missing else None
    before = msgspec.structs.replace(
        before.with_kind(snapshot),
        start=before.start or observation.start,
        surplus_of=before.surplus_of or observation.surplus_of,
        cancelled_by=before.cancelled_by or observation.cancelled_by,
        missing_since=missing_since,
        unknown_status=_unknown_status(before, observation),
    )
    if snapshot.status is not status:  # an outdated observation has outdated details
        return before
    duration = snapshot.recording_duration
    return msgspec.structs.replace(
        before,
        meeting_id=snapshot.meeting_id or before.meeting_id,
        session_id=snapshot.session_id or before.session_id,
        invoked_time=snapshot.invoked_time or before.invoked_time,
        started_time=snapshot.started_time or before.started_time,
        stopped_time=snapshot.stopped_time or before.stopped_time,
        recording_duration=before.recording_duration if duration is None else duration,
        output_file_name=snapshot.output_file_name or before.output_file_name,
        start_reason=snapshot.start_reason or before.start_reason,
        stop_reason=snapshot.stop_reason or before.stop_reason,
    )


def _unknown_status(before: Recording, observation: Observation) -> str | None:
    """The undocumented status that the API reports, until it reports a documented one."""
    unknown = observation.snapshot.unknown_status
    is_over = unknown is not None and before.status not in LIVE
    if observation.missing or observation.timeout_error is not None or is_over:
        return before.unknown_status
    return unknown


# 4. Change


def _with_status(
    after: Recording, before: Recording | None, observation: Observation, status: Status
) -> Recording:
    error = observation.timeout_error
    timed_out = error is not None
    if status is Status.ERRORED and error is None:
        error = ErrorInfo(
            code="recording_errored",
            message=_error_message(after, observation.snapshot.error_message),
        )
    return msgspec.structs.replace(
        after,
        status=status,
        error=error,
        timed_out=timed_out,
        timed_out_from=before.status if before and timed_out else None,
        changed_at=observation.observed_at,
        files_awaited_since=observation.observed_at
        if _has_files_or_people(after, status)
        else None,
    )


def _has_files_or_people(after: Recording, status: Status) -> bool:
    """Whether the completion has to wait: for files, or for the people who have none."""
    return status is Status.UPLOADED or (status is Status.ERRORED and after.kind == "track")


def _error_message(recording: Recording, message: str | None) -> str:
    if message is None:
        return "the API reports ERRORED without a reason"
    if _may_repeat_secrets(recording):
        return WITHHELD_MESSAGE
    return message


def _may_repeat_secrets(recording: Recording) -> bool:
    """Whether the API's message may contain credentials that the worker does not know and cannot
    redact."""
    if recording.kind == "track":
        return False
    return recording.start is None or recording.start.has_secrets is not False


# 6. Files


def _new_files(
    after: Recording, observation: Observation, known_files: Sequence[str]
) -> tuple[TrackFile, ...]:
    announced, storage = set(known_files), observation.snapshot.storage
    return tuple(
        file
        for file in observation.files or ()
        if file.file_name not in announced and is_ready(file, after.kind, storage)
    )


def _with_files(after: Recording, observation: Observation, count: int) -> Recording:
    if not observation.files:
        return after
    is_uploaded = after.status is Status.UPLOADED
    return msgspec.structs.replace(
        after,
        file_count=max(count, after.file_count),
        file_search=search_after(after, observation) if is_uploaded else None,
    )


# 7. Completion


def _is_complete(after: Recording, observation: Observation) -> bool:
    if not _has_files_or_people(after, after.status):
        return after.status is Status.ERRORED
    if observation.files is None:
        return False
    if after.status is Status.ERRORED:
        return True
    if after.files_awaited_since is None or observation.files_final:
        return True
    return bool(observation.files) and observation.completeness == "whole"


def _with_completion(after: Recording, observation: Observation) -> Recording:
    search = after.file_search
    if search is not None and search.ended_at is None:
        search = msgspec.structs.replace(search, ended_at=observation.observed_at)
    return msgspec.structs.replace(
        after, completed=True, files_awaited_since=None, file_search=search
    )


# 8. Count


def _numbered(after: Recording, event_count: int) -> Recording:
    return msgspec.structs.replace(
        after, version=after.version + 1, sequence=after.sequence + event_count
    )
