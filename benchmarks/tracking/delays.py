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
"""What each recording leaves."""


def status_delays(request_log: Iterable[AnyEntry], received: EventTimes, ended: set[str]) -> Delays:
    """The delays of the events of these recordings' ends, status by status."""
    late: list[float] = []
    missed = skipped = 0
    changes = [
        one for one in _changes(request_log, ended) if one.status in {"UPLOADING", "UPLOADED"}
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
    changes = [one for one in _changes(request_log, ended) if one.status == "UPLOADED"]
    for change in changes:
        event_at = received.statuses.get((change.recording_id, "UPLOADED"))
        if event_at is not None:
            late.append(event_at - change.at)
    return _delays(late, changes=len(changes), missed=len(changes) - len(late), skipped=0)


def file_delays(request_log: Iterable[AnyEntry], received: EventTimes, ended: set[str]) -> Delays:
    """The delays of the last file event of each of these recordings."""
    late: list[float] = []
    missed = 0
    changes = [one for one in _changes(request_log, ended) if one.status == "UPLOADED"]
    for change in changes:
        times = sorted(set(received.files.get(change.recording_id, ())))
        whole = len(received.files.get(change.recording_id, ())) >= FILES
        if whole and change.recording_id in received.completed:
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
    """How all recordings of a part ended, as far as events show it by the end of the part.

    `stops` are the times of stop commands, by recording.
    """
    asked, seconds = within(request_log, part.since, part.until), part.until - part.since
    completed = [one for one in received.completed if one in part.ended]
    last = max((received.completed[one] for one in completed), default=math.nan)
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
    """The most seconds by which one that was completed earlier had ended later.

    `completed` is in the order of completion.
    """
    changes = _changes(request_log, set(completed))
    ended_at = {one.recording_id: one.at for one in changes if one.status == "UPLOADED"}
    latest = most = 0.0
    for recording_id in completed:
        at = ended_at[recording_id]
        latest = max(latest, at)
        most = max(most, latest - at)
    return most


def _stop_delays(request_log: Iterable[AnyEntry], stops: Mapping[str, float]) -> Delays:
    asked: dict[str, float] = {}
    for one in request_log:
        if isinstance(one, RequestEntry) and one.operation == "change_recording":
            asked.setdefault(one.recording_id or "", one.at)
    late = [asked[one] - sent for one, sent in stops.items() if one in asked]
    return _delays(late, changes=len(stops), missed=len(stops) - len(late), skipped=0)


def requests(request_log: Iterable[AnyEntry]) -> tuple[dict[str, int], int, int]:
    """Requests by operation, breaches, and the most requests in as long as the quota counts."""
    asked = [one for one in request_log if isinstance(one, RequestEntry)]
    operations = Counter(one.operation for one in asked)
    times = [one.at for one in asked]
    return dict(operations.most_common()), sum(one.breach for one in asked), busiest(times)


def busiest(times: Sequence[float]) -> int:
    """The highest number of these times, which are in order, within the time of the quota."""
    most, first = 0, 0
    for last in range(len(times)):
        first = next(n for n in count(first) if times[n] > times[last] - QUOTA_SECONDS)
        most = max(most, last - first + 1)
    return most


def within(request_log: Iterable[AnyEntry], since: float, until: float) -> Counter[str]:
    """Requests by operation from one moment to another."""
    return Counter(
        one.operation
        for one in request_log
        if isinstance(one, RequestEntry) and since <= one.at < until
    )


def _changes(request_log: Iterable[AnyEntry], recordings: set[str]) -> list[TransitionEntry]:
    return [
        one
        for one in request_log
        if isinstance(one, TransitionEntry) and one.recording_id in recordings
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
