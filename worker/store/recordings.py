"""Turns observations into state and events, in one transaction.

The recordings' rows are locked (PostgreSQL) or nobody else can write (SQLite) while
`apply_observation` decides, so there is no compare-and-set and no second try: however many
replicas observe the same change, it is announced once.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from worker.domain.read_policy import next_read_at
from worker.domain.recording import LIVE, Observation, Recording
from worker.domain.track_files import TrackFile
from worker.domain.transitions import apply_observation
from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, meeting_key, open_or_closed, strip_nul
from worker.store.database.notifications import notify_on_commit
from worker.store.database.schema import files, recordings
from worker.store.outbox import add_rows, event_rows


class ApplyResult(msgspec.Struct, frozen=True, kw_only=True):
    """What sights came to: each recording's state after, when (seconds) it is to be read by itself
    if it is, and how many events that made."""

    recordings: tuple[Recording, ...]
    events: int
    read_at: tuple[float | None, ...] = ()


class _Held(NamedTuple):
    """A row: the recording, when it is to be read by itself, when a webhook last told of it."""

    recording: Recording
    read_at: float | None
    told_at: float | None


def apply_observations(
    connection: sa.Connection,
    requests: Sequence[Sequence[Observation]],
    *,
    source: str,
    only_known: bool = False,
) -> list[ApplyResult]:
    """Operation: take in what each request has seen, in order; with `only_known` nothing new, and
    nothing that one app's webhook tells of another's recording."""
    known = _load(connection, {one.snapshot.recording_id for seen in requests for one in seen})
    before = dict(known)
    rows: list[dict[str, Any]] = []
    absorbed = []
    for seen in requests:
        after: list[_Held] = []
        begin = len(rows)
        for one in seen:
            if only_known and not _is_known(known, one):
                continue
            rows += _absorb(connection, known, one, source)
            after.append(known[one.snapshot.recording_id])
        absorbed.append(
            ApplyResult(
                recordings=tuple(held.recording for held in after),
                events=len(rows) - begin,
                read_at=tuple(held.read_at for held in after),
            )
        )
    _save(connection, before, known)
    if _anything_became_due(before, known, requests):
        notify_on_commit(connection, "due")
    add_rows(connection, rows)
    return absorbed


def _anything_became_due(
    before: Mapping[str, _Held],
    after: Mapping[str, _Held],
    requests: Sequence[Sequence[Observation]],
) -> bool:
    scheduled = [
        held.read_at
        for key, held in after.items()
        if held.read_at is not None and (key not in before or before[key].read_at != held.read_at)
    ]
    if not scheduled:
        return False
    now = max(one.observed_at.timestamp() for seen in requests for one in seen)
    return min(scheduled) <= now


def _is_known(known: Mapping[str, _Held], seen: Observation) -> bool:
    held = known.get(seen.snapshot.recording_id)
    return held is not None and held.recording.app == seen.app


def _absorb(
    connection: sa.Connection, known: dict[str, _Held], seen: Observation, source: str
) -> list[dict[str, Any]]:
    recording_id = seen.snapshot.recording_id
    seen = _with_holdable_names(seen)
    before, read_at, told_at = known.get(recording_id, (None, None, None))
    names = _file_names(connection, recording_id) if _needs_names(before, seen) else ()
    observed = apply_observation(before, seen, names)
    read_at = next_read_at(before, observed.after, seen, read_at=read_at, webhook_at=told_at)
    if seen.observed_by == "webhook":
        told_at = seen.observed_at.timestamp()
    known[recording_id] = _Held(observed.after, read_at, told_at)
    _add_files(connection, recording_id, len(names), observed.new_files, seen)
    return event_rows(observed.after, observed.events, source=source, at=seen.observed_at)


def _with_holdable_names(seen: Observation) -> Observation:
    """Files are known again by their names, so these must be the same here and in the table."""
    if seen.files is None or not any("\x00" in file.file_name for file in seen.files):
        return seen
    files = tuple(
        msgspec.structs.replace(file, file_name=strip_nul(file.file_name)) for file in seen.files
    )
    return msgspec.structs.replace(seen, files=files)


def _needs_names(before: Recording | None, seen: Observation) -> bool:
    return before is not None and (seen.files is not None or seen.snapshot.status not in LIVE)


def _load(connection: sa.Connection, ids: Collection[str]) -> dict[str, _Held]:
    if not ids:
        return {}
    found = connection.execute(_STATES, {"ids": ids}).all()
    return {
        key: _Held(msgspec.json.decode(state, type=Recording), *at) for key, state, *at in found
    }


_STATES: Final = (
    sa.select(
        recordings.c.recording_id,
        recordings.c.state,
        recordings.c.read_at,
        recordings.c.told_at,
    )
    .where(open_or_closed(among(recordings.c.recording_id, "ids")))
    .order_by(recordings.c.recording_id)
    .with_for_update()
)


def _save(connection: sa.Connection, before: dict[str, _Held], after: dict[str, _Held]) -> None:
    new = [_row(held) for recording_id, held in after.items() if recording_id not in before]
    changed = [
        {"at_id": recording_id, **_row(held)}
        for recording_id, held in after.items()
        if recording_id in before and held != before[recording_id]
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
)


def _row(held: _Held) -> dict[str, Any]:
    recording = held.recording
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
        "read_at": held.read_at,
        "told_at": held.told_at,
    }


def _file_names(connection: sa.Connection, recording_id: str) -> tuple[str, ...]:
    names = connection.execute(
        sa.select(files.c.file_name)
        .where(files.c.recording_id == recording_id)
        .order_by(files.c.file_index)
    )
    return tuple(names.scalars())


def _add_files(
    connection: sa.Connection,
    recording_id: str,
    known: int,
    new: Sequence[TrackFile],
    seen: Observation,
) -> None:
    if new:
        connection.execute(
            sa.insert(files),
            [
                {
                    "recording_id": recording_id,
                    "file_index": index,
                    "file_name": file.file_name,
                    "user_id": strip_nul(file.user_id),
                    "found_at": seen.observed_at.timestamp(),
                }
                for index, file in enumerate(new, start=known + 1)
            ],
        )
