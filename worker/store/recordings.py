"""Applies observations to recordings: changes states and adds events, in one transaction.

While `apply_observation` decides, the recordings' rows are locked (PostgreSQL), or no other process
can write (SQLite). So no compare-and-set and no second try is needed. If several replicas observe
the same change, it is published once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.listed_files import with_listed_files
from worker.domain.max_duration import next_stop_at
from worker.domain.read_policy import next_read_at
from worker.domain.recording import LIVE, Observation, Recording
from worker.domain.transitions import apply_observation
from worker.store.announced_files import add_files, known_files, note_renewals
from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, meeting_key, open_or_closed, strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import recordings
from worker.store.event_positions import positions_by_subject, with_positions
from worker.store.outbox import add_events, event_rows


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one request's observations.

    `recordings`: the state after each observation that was applied. `read_at`: when each of them is
    to be read by itself, in seconds since the epoch, or None. `events`: how many events were added.
    """

    recordings: tuple[Recording, ...]
    events: int
    read_at: tuple[float | None, ...] = ()


class _Row(NamedTuple):
    """A recording, when it is to be read by itself, when the last webhook about it came, where its
    events are, and when it is to be stopped."""

    recording: Recording
    read_at: float | None
    webhook_at: float | None
    event_positions: str | None = None
    stop_at: float | None = None


_NO_ROW: Final = (None, None, None, None, None)


def apply_observations(
    connection: sa.Connection,
    requests: Sequence[Sequence[Observation]],
    *,
    source: str,
    only_known: bool = False,
) -> list[ApplyResult]:
    """Operation: apply each request's observations, in order.

    `only_known` skips observations of recordings that the observation's app does not have. A
    recording of others is not adopted with a status that is not documented.
    """
    batch = [observation for observations in requests for observation in observations]
    before = _load(connection, {observation.snapshot.recording_id for observation in batch})
    rows = dict(before)
    events: list[dict[str, Any]] = []
    results = []
    for observations in requests:
        after: list[_Row] = []
        first_event = len(events)
        for observation in observations:
            if only_known and not _is_known(rows, observation):
                continue
            if _has_no_status(rows, observation):
                continue
            events += _apply(connection, rows, observation, source)
            after.append(rows[observation.snapshot.recording_id])
        results.append(_result(after, events=len(events) - first_event))
    _note_positions(rows, add_events(connection, events))
    _save(connection, before, rows)
    if _anything_became_due(before, rows, batch):
        notify_on_commit(connection, "due")
    return results


def _result(after: Sequence[_Row], *, events: int) -> ApplyResult:
    return ApplyResult(
        recordings=tuple(row.recording for row in after),
        events=events,
        read_at=tuple(row.read_at for row in after),
    )


def _anything_became_due(
    before: Mapping[str, _Row], after: Mapping[str, _Row], observations: Iterable[Observation]
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


def _is_known(rows: Mapping[str, _Row], observation: Observation) -> bool:
    row = rows.get(observation.snapshot.recording_id)
    return row is not None and row.recording.app == observation.app


def _has_no_status(rows: Mapping[str, _Row], observation: Observation) -> bool:
    """Whether nothing says which status the recording has: neither the API nor its start."""
    if observation.snapshot.unknown_status is None or observation.start or observation.surplus_of:
        return False
    return observation.snapshot.recording_id not in rows


def _apply(
    connection: sa.Connection, rows: dict[str, _Row], observation: Observation, source: str
) -> list[dict[str, Any]]:
    """Apply one observation to `rows`, add its new files, and return the rows of its events."""
    recording_id = observation.snapshot.recording_id
    before, read_at, webhook_at, positions, stop_at = rows.get(recording_id, _NO_ROW)
    observation = _without_nul_in_file_names(with_listed_files(before, observation))
    names, urls = (
        known_files(connection, recording_id) if _needs_names(before, observation) else ((), {})
    )
    transition = apply_observation(before, observation, names, urls)
    after = transition.after
    _log_unknown_status(before, after)
    read_at = next_read_at(before, after, observation, read_at=read_at, webhook_at=webhook_at)
    if observation.observed_by == "webhook":
        webhook_at = observation.observed_at.timestamp()
    stop_at = next_stop_at(after, stop_at)
    rows[recording_id] = _Row(after, read_at, webhook_at, positions, stop_at)
    add_files(connection, recording_id, len(names), transition.new_files, observation)
    note_renewals(connection, recording_id, transition.renewed_files, observation)
    return event_rows(after, transition.events, source=source, at=observation.observed_at)


def _note_positions(rows: dict[str, _Row], events: Iterable[tuple[str, int]]) -> None:
    for recording_id, added in positions_by_subject(events).items():
        row = rows[recording_id]
        positions = with_positions(row.event_positions, added.first, added.last)
        rows[recording_id] = row._replace(event_positions=positions)


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


def _needs_names(before: Recording | None, observation: Observation) -> bool:
    is_over = observation.snapshot.status not in LIVE
    return before is not None and (observation.files is not None or is_over)


# Tables


def _load(connection: sa.Connection, ids: Collection[str]) -> dict[str, _Row]:
    if not ids:
        return {}
    found = connection.execute(_STATES, {"ids": ids}).all()
    return {
        recording_id: _Row(msgspec.json.decode(state, type=Recording), *columns)
        for recording_id, state, *columns in found
    }


_STATES: Final = (
    sa.select(
        recordings.c.recording_id,
        recordings.c.state,
        recordings.c.read_at,
        recordings.c.told_at,
        recordings.c.event_positions,
        recordings.c.stop_at,
    )
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def _save(connection: sa.Connection, before: dict[str, _Row], after: dict[str, _Row]) -> None:
    new = [_columns(row) for recording_id, row in after.items() if recording_id not in before]
    changed = [
        {"at_id": recording_id, **_columns(row)}
        for recording_id, row in after.items()
        if recording_id in before and row != before[recording_id]
    ]
    _insert(connection, new)
    if changed:
        columns: dict[str, Any] = {name: sa.bindparam(name) for name in _COLUMNS}
        connection.execute(
            sa.update(recordings)
            .where(open_or_closed(recordings.c.recording_id == sa.bindparam("at_id")))
            .values(columns),
            changed,
        )


_insert: Final = bulk_insert(recordings)
_COLUMNS = (
    "app",
    "kind",
    "status",
    "meeting_id",
    "start_id",
    "version",
    "open",
    "state",
    "changed_at",
    "first_seen_at",
    "read_at",
    "told_at",
    "event_positions",
    "stop_at",
)


def _columns(row: _Row) -> dict[str, Any]:
    recording = row.recording
    return {
        "recording_id": recording.recording_id,
        "app": recording.app,
        "kind": recording.kind,
        "status": str(recording.status),
        "meeting_id": meeting_key(recording.meeting_id),
        "start_id": recording.start_id,
        "version": recording.version,
        "open": recording.is_open,
        "state": msgspec.json.encode(recording).decode(),
        "changed_at": recording.changed_at.timestamp() if recording.changed_at else 0.0,
        "first_seen_at": recording.first_seen_at and recording.first_seen_at.timestamp(),
        "read_at": row.read_at,
        "told_at": row.webhook_at,
        "event_positions": row.event_positions,
        "stop_at": row.stop_at,
    }
