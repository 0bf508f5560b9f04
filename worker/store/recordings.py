"""Applies observations to recordings: changes states and adds events, in one transaction.

While `apply_observation` decides, the recordings' rows are locked (PostgreSQL), or no other process
can write (SQLite). So no compare-and-set and no second try is needed. If several replicas observe
the same change, it is published once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
import structlog

from recording_schemas import Status
from worker.domain.composite_files import with_announced_names
from worker.domain.listed_files import with_listed_files
from worker.domain.max_duration import next_stop_at
from worker.domain.read_policy import next_read_at
from worker.domain.recording import LIVE, Observation, Recording
from worker.domain.transitions import apply_observation
from worker.store import archive_intake
from worker.store.announced_files import AnnouncedFiles
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.deferred_recordings import defer, take_deferred
from worker.store.outbox import add_events, event_rows
from worker.store.recording_rows import RecordingRow, load_rows, note_positions, save_rows


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request's observations.

    `recordings`: the state after each observation that was applied. `read_at`: when each of them
    must be read, in seconds since the epoch, or None. `events`: how many events were added.
    """

    recordings: tuple[Recording, ...]
    events: int
    read_at: tuple[float | None, ...]


def apply_observations(
    connection: sa.Connection,
    requests: Sequence[Sequence[Observation]],
    *,
    source: str,
    archives: bool,
    only_known: bool = False,
    locked: dict[str, RecordingRow] | None = None,
    positions: Sequence[int] = (),
) -> list[ApplyResult]:
    """Operation: apply each request's observations, in order.

    `archives`: the archive is on, so its tables are filled.

    `only_known` skips observations of recordings that the observation's app does not have. Another
    program's recording is not adopted with an undocumented status.

    `locked`: the rows of these recordings, if the caller has locked them. `positions`: the
    positions that the caller has reserved for their events after that. If they are too few, they
    are not used.
    """
    batch = [observation for observations in requests for observation in observations]
    before = load_rows(connection, recording_ids(batch)) if locked is None else locked
    rows = dict(before)
    deferred: list[Observation] = []
    earlier = {} if only_known else take_deferred(connection, _to_adopt(before, batch))
    files = AnnouncedFiles(connection, _with_known_files(before, batch))
    events: list[dict[str, Any]] = []
    results = []
    for observations in requests:
        after: list[RecordingRow] = []
        first_event = len(events)
        for observation in observations:
            is_skipped = only_known and not _is_known(rows, observation)
            if is_skipped or _has_no_status(rows, observation):
                continue
            if observation.awaits_start and observation.snapshot.recording_id not in rows:
                deferred.append(observation)
                continue
            for each in (*_of_start(earlier, observation), observation):
                events += _apply(connection, rows, files, each, source, archives=archives)
            after.append(rows[observation.snapshot.recording_id])
        results.append(_result(after, events=len(events) - first_event))
    files.save()
    note_positions(rows, add_events(connection, events, positions))
    save_rows(connection, before, rows)
    if deferred:
        defer(connection, deferred)
    if _anything_became_due(before, rows, batch):
        notify_on_commit(connection, "due")
    return results


def _to_adopt(before: Mapping[str, RecordingRow], batch: Iterable[Observation]) -> set[str]:
    """The recordings that are adopted now, and that commands may have observed before.

    A recording in the answer to its start is not one of them: nobody has acted on it yet.
    """
    return {
        observation.snapshot.recording_id
        for observation in batch
        if observation.snapshot.recording_id not in before
        and not observation.awaits_start
        and not _has_no_status(before, observation)
        and not (observation.start and observation.snapshot.status is Status.INVOKED)
    }


def _of_start(
    earlier: dict[str, tuple[Observation, ...]], adopting: Observation
) -> Iterable[Observation]:
    """What commands observed before this observation adopts the recording, perhaps for a start."""
    return [
        msgspec.structs.replace(each, awaits_start=False, start=adopting.start)
        for each in earlier.pop(adopting.snapshot.recording_id, ())
    ]


def recording_ids(observations: Iterable[Observation]) -> set[str]:
    """The ids of the recordings that were observed."""
    return {observation.snapshot.recording_id for observation in observations}


def _result(after: Sequence[RecordingRow], *, events: int) -> ApplyResult:
    return ApplyResult(
        recordings=tuple(row.recording for row in after),
        events=events,
        read_at=tuple(row.read_at for row in after),
    )


def _anything_became_due(
    before: Mapping[str, RecordingRow],
    after: Mapping[str, RecordingRow],
    observations: Iterable[Observation],
) -> bool:
    scheduled = [
        row.read_at
        for key, row in after.items()
        if row.read_at is not None and (key not in before or before[key].read_at != row.read_at)
    ]
    if not scheduled:
        return False
    now = max(observation.observed_at.timestamp() for observation in observations)
    return min(scheduled) <= now


def _is_known(rows: Mapping[str, RecordingRow], observation: Observation) -> bool:
    row = rows.get(observation.snapshot.recording_id)
    return row is not None and row.recording.app == observation.app


def _has_no_status(rows: Mapping[str, RecordingRow], observation: Observation) -> bool:
    """Whether the status of the recording is unknown: neither the API nor its start shows it."""
    if observation.snapshot.unknown_status is None or observation.start or observation.surplus_of:
        return False
    return observation.snapshot.recording_id not in rows


def _apply(
    connection: sa.Connection,
    rows: dict[str, RecordingRow],
    files: AnnouncedFiles,
    observation: Observation,
    source: str,
    *,
    archives: bool,
) -> list[dict[str, Any]]:
    """Apply one observation to `rows`, add its new files, and return the rows of its events."""
    recording_id = observation.snapshot.recording_id
    row = rows.get(recording_id)
    before = row.recording if row else None
    observation = _without_nul_in_file_names(with_listed_files(before, observation))
    names, urls = files.known(recording_id) if _needs_names(before, observation) else ((), {})
    kind = before.with_kind(observation.snapshot).kind if before else None
    observation = with_announced_names(kind, observation, names)
    transition = apply_observation(before, observation, names, urls)
    after = transition.after
    _log_unknown_status(before, after)
    row = row or RecordingRow(after)
    webhook_at = row.webhook_at
    read_at = next_read_at(before, after, observation, read_at=row.read_at, webhook_at=webhook_at)
    if observation.observed_by == "webhook":
        webhook_at = observation.observed_at.timestamp()
    rows[recording_id] = row._replace(
        recording=after,
        read_at=read_at,
        webhook_at=webhook_at,
        stop_at=next_stop_at(after, row.stop_at),
    )
    files.add(recording_id, transition.new_files, observation)
    files.renew(recording_id, transition.renewed_files, observation)
    if archives:
        all_names = (*names, *(file.file_name for file in transition.new_files))
        archive_intake.take_note(connection, after, transition.events, observation, all_names)
    return event_rows(after, transition.events, source=source, at=observation.observed_at)


def _log_unknown_status(before: Recording | None, after: Recording) -> None:
    if after.unknown_status in {None, before.unknown_status if before else None}:
        return
    structlog.get_logger().warning(
        "recording_status_unknown",
        app=after.app,
        recording_id=after.recording_id,
        unknown_status=after.unknown_status,
        last_known_status=after.status,
    )


def _without_nul_in_file_names(observation: Observation) -> Observation:
    """Names identify files, so a name must be the same here and in the table."""
    files = observation.files
    if files is None or not any("\x00" in file.file_name for file in files):
        return observation
    stripped = tuple(
        msgspec.structs.replace(file, file_name=strip_nul(file.file_name)) for file in files
    )
    return msgspec.structs.replace(observation, files=stripped)


def _with_known_files(before: Mapping[str, RecordingRow], batch: Iterable[Observation]) -> set[str]:
    """The observed recordings that may have announced files."""
    ids = (
        observation.snapshot.recording_id for observation in batch if _is_about_files(observation)
    )
    return {recording_id for recording_id in ids if recording_id in before}


def _needs_names(before: Recording | None, observation: Observation) -> bool:
    return before is not None and _is_about_files(observation)


def _is_about_files(observation: Observation) -> bool:
    return observation.files is not None or observation.snapshot.status not in LIVE
