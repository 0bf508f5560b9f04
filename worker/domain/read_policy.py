"""When the worker reads a single recording, with a GET request. Pure.

One list request shows the status of a hundred live recordings. A recording is read by itself only
if a list is not enough: for its files, after a 404, or if observations contradict each other. The
store keeps the time of each recording's next such read, `read_at`, in epoch seconds. None means
that no read is scheduled. A recording is due when `read_at` has passed.

`next_read_at` returns the new `read_at` after an observation. The first row that matches counts:

    observation                                                         read_at afterwards
    an answer that a webhook has overtaken, and the recording is open   as it was
    one that says when to read again (`read_again_at`)                  that time
    one after which an unwanted recording is to be stopped              at once
    one after which files are awaited: the first such observation       at once, see below
    one after which files are awaited: any later one                    as it was; at once if None
    a webhook that contradicts the state                                at once
    a webhook that ends the recording with all its files, if no         None
    webhook came since `read_at`
    any other webhook                                                   as it was
    an answer to a request that was sent at or after `read_at`          None
    an answer to a request that was sent before `read_at`               as it was

If an ended recording is open again, the `read_at` before counts as None: it was the time to check
the end again, perhaps hours later.

"At once" keeps a `read_at` that is earlier than the observation. A webhook settles nothing, because
the moment that it describes is unknown. Only an end stays true: a sweep that missed the recording
on its list made it due, and the end explains that. Webhooks that contradict each other also make it
due, and then only a read can decide. Recordings are read in the order of `read_at`. A list shows
many ends at once, and their files are to be read in the order of ending. So if a list or a read
showed the end, `read_at` is the time when the recording was stopped, at most ten minutes ago.

`read_again_at` returns the time to put into the observation of a read by itself:

    state after that read                        next read
    UPLOADED, files awaited, none listed         doubling from 1 s, one exactly at `files_wait`,
                                                 then every second
    UPLOADED, files awaited, some listed         2 s after the list was first seen, then exactly
                                                 `files_settle` after, then doubling; one exactly at
                                                 `files_wait`, then every second
    live, and the API answers 404                doubling from 1 s, one exactly at `vanished_after`,
                                                 then every second
    live, unwanted, and still to be stopped      after 1 s
    live                                         None: the list shows the rest
    UPLOADED, all files listed                   None
    UPLOADED, a list that has not settled        `files_settle` after it was first seen
    UPLOADED, an expected file is missing        `files_late` after the completion, then None
    UPLOADED with any other list of files        None
    ERRORED, as the API reported                 None
    UPLOADED without a file                      doubling from 60 s, one exactly at 24 h, then None;
                                                 one also `files_late` after the wait for files
    timed out                                    doubling from 60 s, one exactly at 24 h, then None

"Doubling" means that the pause is as long as the time that has already passed. `file_search` says
when all files are listed, and when a list has settled.

Three other rules set `read_at` elsewhere. A sweep schedules open recordings that its list lacks,
for the time of that list request. A sweep schedules overdue recordings before all others. The
refresher puts off a recording whose read failed.
"""

from datetime import datetime, timedelta
from typing import Final

from recording_schemas import Status
from worker.domain.accepted_status import webhook_contradicts
from worker.domain.file_search import settles_at
from worker.domain.recording import FileSearch, Observation, Recording
from worker.domain.timeouts import Timeouts

MIN_REREAD_INTERVAL_SECONDS: Final = 1.0
"""The first pause before the next read of missing files or of a missing recording."""

SECOND_LOOK_SECONDS: Final = 2.0
"""The first pause after a list that lacks files. The others often follow within seconds."""

MAX_HEAD_START_SECONDS: Final = 600.0
"""How far `read_at` goes back to when a recording was stopped. The API's clock may differ, and must
not put its recordings before all others forever."""

RECHECK_MIN_AGE_SECONDS: Final = 60.0
RECHECK_MAX_AGE_SECONDS: Final = 86_400.0
"""If the API has not proved an end, the recording is read again between these two times, in seconds
since the end."""


def next_read_at(
    before: Recording | None,
    after: Recording,
    observation: Observation,
    *,
    read_at: float | None,
    webhook_at: float | None,
) -> float | None:
    """The new `read_at` after an observation, by the first table of this module.

    `before` and `after` are the states around the observation, `read_at` is the time that was
    scheduled before it, `webhook_at` is when the last webhook arrived. Times are epoch seconds.
    """
    read_at = _without_recheck(before, after, read_at)
    if _is_overtaken(after, observation, read_at=read_at, webhook_at=webhook_at):
        return read_at
    if observation.read_again_at is not None:
        return observation.read_again_at.timestamp()
    if after.is_to_be_stopped:
        return _at_once(observation, read_at)
    if after.files_awaited_since is not None:
        already_awaited = before is not None and before.files_awaited_since is not None
        if already_awaited and read_at is not None:
            return read_at
        return min(_ended_at(after, observation), _at_once(observation, read_at))
    if observation.observed_by == "webhook":
        if before is not None and webhook_contradicts(before, observation):
            return _at_once(observation, read_at)
        return None if _has_explained_absence(before, after, read_at, webhook_at) else read_at
    return read_at if _was_sent_before(observation, read_at) else None


def _without_recheck(
    before: Recording | None, after: Recording, read_at: float | None
) -> float | None:
    is_open_again = before is not None and not before.is_open and after.is_open
    return None if is_open_again else read_at


def _is_overtaken(
    after: Recording, observation: Observation, *, read_at: float | None, webhook_at: float | None
) -> bool:
    """Whether a webhook arrived between the request and its answer. The answer may be older than
    the webhook, so the scheduled read is still needed, unless the answer ended the recording."""
    if read_at is None or webhook_at is None or observation.observed_by == "webhook":
        return False
    sent_at, answered_at = observation.asked_at.timestamp(), observation.observed_at.timestamp()
    return after.is_open and sent_at < webhook_at <= answered_at


def _has_explained_absence(
    before: Recording | None, after: Recording, read_at: float | None, webhook_at: float | None
) -> bool:
    """Whether a webhook ended the recording, so that a read because of its absence is
    unnecessary."""
    if before is None or not before.is_open or after.is_open or after.file_search is not None:
        return False
    was_contradicted = read_at is None or (webhook_at is not None and webhook_at >= read_at)
    return _is_proven(after) and not was_contradicted


def _ended_at(after: Recording, observation: Observation) -> float:
    """When an uploaded recording ended, as far as this observation shows it."""
    seen_at = observation.observed_at.timestamp()
    if observation.observed_by == "webhook" or after.stopped_time is None:
        return seen_at
    return min(max(after.stopped_time.timestamp(), seen_at - MAX_HEAD_START_SECONDS), seen_at)


def _at_once(observation: Observation, read_at: float | None) -> float:
    now = observation.observed_at.timestamp()
    return now if read_at is None else min(now, read_at)


def _was_sent_before(observation: Observation, read_at: float | None) -> bool:
    # Datetimes have microseconds. Other clocks may be finer.
    return read_at is not None and round(observation.asked_at.timestamp(), 6) < round(read_at, 6)


def read_again_at(after: Recording, now: datetime, timeouts: Timeouts) -> datetime | None:
    """When to read a recording again after a single read, by the second table of this module.

    None if no single read is needed.
    """
    if after.files_awaited_since is not None:
        return _next_look(after.files_awaited_since, after.file_search, now, timeouts)
    if after.is_to_be_stopped:
        return now + timedelta(seconds=MIN_REREAD_INTERVAL_SECONDS)
    if after.is_open:
        since = after.missing_since
        return since and _doubled(now, since, MIN_REREAD_INTERVAL_SECONDS, timeouts.vanished_after)
    looks = [_next_recheck(after, now), _next_late_look(after, now, timeouts)]
    return min((at for at in looks if at is not None), default=None)


def _next_look(
    since: datetime, search: FileSearch | None, now: datetime, timeouts: Timeouts
) -> datetime:
    """The next read for files that are awaited `since`."""
    if search is None:
        return _doubled(now, since, MIN_REREAD_INTERVAL_SECONDS, timeouts.files_wait)
    last = since + timedelta(seconds=timeouts.files_wait)
    if now >= last:
        return now + timedelta(seconds=MIN_REREAD_INTERVAL_SECONDS)
    listed = search.listed_since
    steps = (SECOND_LOOK_SECONDS, timeouts.files_settle)
    planned = [listed + timedelta(seconds=step) for step in steps]
    pause = max(now - listed, timedelta(seconds=MIN_REREAD_INTERVAL_SECONDS))
    return min(last, min((at for at in planned if at > now), default=now + pause))


def _next_late_look(after: Recording, now: datetime, timeouts: Timeouts) -> datetime | None:
    """The next read of a recording that was completed, but perhaps not with all its files."""
    search = after.file_search
    if after.file_count == 0 and after.status is Status.UPLOADED and after.changed_at is not None:
        late = after.changed_at + timedelta(seconds=timeouts.files_wait + timeouts.files_late)
        return late if now < late else None
    if search is None or search.ended_at is None:
        return None
    settles = settles_at(search, timeouts.files_settle)
    if now < settles:
        return settles
    late = search.ended_at + timedelta(seconds=timeouts.files_late)
    return late if search.completeness == "lacking" and now < late else None


def _next_recheck(after: Recording, now: datetime) -> datetime | None:
    """The next read of a recording whose end is not proved."""
    if _is_proven(after) or after.changed_at is None or is_past_rechecks(after, now):
        return None
    return _doubled(now, after.changed_at, RECHECK_MIN_AGE_SECONDS, RECHECK_MAX_AGE_SECONDS)


def _is_proven(ended: Recording) -> bool:
    """Whether the API has proved the end: by a file, or by reporting ERRORED itself."""
    return ended.file_count > 0 if ended.status is Status.UPLOADED else not ended.timed_out


def is_past_rechecks(recording: Recording, now: datetime) -> bool:
    """Whether a recording ended so long ago that its end is no longer read again."""
    if recording.is_open or recording.changed_at is None:
        return False
    return now - recording.changed_at >= timedelta(seconds=RECHECK_MAX_AGE_SECONDS)


def _doubled(now: datetime, since: datetime, first: float, longest: float) -> datetime:
    """The next read of something awaited `since`: pauses double from `first` seconds, and one read
    falls exactly on `longest` seconds."""
    pause = max(now - since, timedelta(seconds=first))
    last = since + timedelta(seconds=longest)
    return min(now + pause, last) if now < last else now + timedelta(seconds=first)
