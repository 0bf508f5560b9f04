"""Delays, from the API's request log and from the events that a subscriber received."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from benchmarks.results import percentile
from benchmarks.tracking.environment import EventTimes
from benchmarks.tracking.results import QUOTA_SECONDS, READS, Delays, MassEnding, Part
from recording_sandbox.model.log_entries import AnyEntry, RequestEntry, TransitionEntry

FILES = 3
"""The number of files of each recording."""


def status_delays(request_log: Iterable[AnyEntry], received: EventTimes, ended: set[str]) -> Delays:
    """The delays of the status events of these recordings' ends."""
    late: list[float] = []
    missed = skipped = 0
    changes = [
        change
        for change in _changes(request_log, ended)
        if change.status in {"UPLOADING", "UPLOADED"}
    ]
    for change in changes:
        event_at = received.statuses.get((change.recording_id, change.status))
        if event_at is not None:
            late.append(event_at - change.at)
        elif (change.recording_id, "UPLOADED") in received.statuses:
            skipped += 1
        else:
            missed += 1
    return _delays(late, changes=len(changes), missed=missed, skipped=skipped)


def uploaded_delays(
    request_log: Iterable[AnyEntry], received: EventTimes, ended: set[str]
) -> Delays:
    """The delays of the events of these recordings' last status."""
    late: list[float] = []
    changes = [change for change in _changes(request_log, ended) if change.status == "UPLOADED"]
    for change in changes:
        event_at = received.statuses.get((change.recording_id, "UPLOADED"))
        if event_at is not None:
            late.append(event_at - change.at)
    return _delays(late, changes=len(changes), missed=len(changes) - len(late), skipped=0)


def file_delays(request_log: Iterable[AnyEntry], received: EventTimes, ended: set[str]) -> Delays:
    """The delays of the last file event of each of these recordings."""
    late: list[float] = []
    missed = 0
    changes = [change for change in _changes(request_log, ended) if change.status == "UPLOADED"]
    for change in changes:
        times = sorted(set(received.files.get(change.recording_id, ())))
        has_all_files = len(received.files.get(change.recording_id, ())) >= FILES
        if has_all_files and change.recording_id in received.completed:
            late.append(times[-1] - change.at)
        else:
            missed += 1
    return _delays(late, changes=len(changes), missed=missed, skipped=0)


def mass_ending(
    request_log: Sequence[AnyEntry],
    received: EventTimes,
    part: Part,
    stops: Mapping[str, float],
) -> MassEnding:
    """The results of a part in which all recordings end, from the events until the end of the part.

    `stops` are the times of stop commands, by recording.
    """
    asked, seconds = within(request_log, part.since, part.until), part.until - part.since
    completed = [recording_id for recording_id in received.completed if recording_id in part.ended]
    last = max((received.completed[recording_id] for recording_id in completed), default=math.nan)
    return MassEnding(
        uploaded=uploaded_delays(request_log, received, part.ended),
        ended=len(part.ended),
        completed=len(completed),
        last_completed=last - part.since if len(completed) == len(part.ended) else math.nan,
        reads=sum(count for name, count in asked.items() if name in READS),
        seconds=seconds,
        per_second=asked.total() / seconds,
        stops=_stop_delays(request_log, stops),
        overtaken=overtaken(request_log, completed),
    )


def overtaken(request_log: Iterable[AnyEntry], completed: Sequence[str]) -> float:
    """The longest time, in seconds, by which the completions are out of the order of the ends.

    A recording overtakes another one if it ended later and was completed earlier.

    `completed` is in the order of completion.
    """
    changes = _changes(request_log, set(completed))
    ended_at = {change.recording_id: change.at for change in changes if change.status == "UPLOADED"}
    latest = most = 0.0
    for recording_id in completed:
        at = ended_at[recording_id]
        latest = max(latest, at)
        most = max(most, latest - at)
    return most


def _stop_delays(request_log: Iterable[AnyEntry], stops: Mapping[str, float]) -> Delays:
    asked: dict[str, float] = {}
    for entry in request_log:
        if isinstance(entry, RequestEntry) and entry.operation == "change_recording":
            asked.setdefault(entry.recording_id or "", entry.at)
    late = [
        asked[recording_id] - sent for recording_id, sent in stops.items() if recording_id in asked
    ]
    return _delays(late, changes=len(stops), missed=len(stops) - len(late), skipped=0)


def requests(request_log: Iterable[AnyEntry]) -> tuple[dict[str, int], int, int]:
    """Requests by operation, the breaches, and the most requests in any period of the quota."""
    asked = [entry for entry in request_log if isinstance(entry, RequestEntry)]
    operations = Counter(request.operation for request in asked)
    times = [request.at for request in asked]
    return dict(operations.most_common()), sum(request.breach for request in asked), busiest(times)


def busiest(times: Sequence[float]) -> int:
    """The highest number of these times, which are in order, within the time of the quota."""
    most, first = 0, 0
    for last in range(len(times)):
        first = next(n for n in count(first) if times[n] > times[last] - QUOTA_SECONDS)
        most = max(most, last - first + 1)
    return most


def within(request_log: Iterable[AnyEntry], since: float, until: float) -> Counter[str]:
    """Requests by operation between two times."""
    return Counter(
        entry.operation
        for entry in request_log
        if isinstance(entry, RequestEntry) and since <= entry.at < until
    )


def _changes(request_log: Iterable[AnyEntry], recordings: set[str]) -> list[TransitionEntry]:
    return [
        entry
        for entry in request_log
        if isinstance(entry, TransitionEntry) and entry.recording_id in recordings
    ]


def _delays(late: list[float], *, changes: int, missed: int, skipped: int) -> Delays:
    late.sort()
    return Delays(
        changes=changes,
        missed=missed,
        skipped=skipped,
        p50=percentile(late, 0.5),
        p99=percentile(late, 0.99),
        most=percentile(late, 1.0),
    )
