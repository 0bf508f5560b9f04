"""Finds the recordings whose scheduled read is due."""

from collections.abc import Collection
from typing import Any, Final, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from recording_schemas import Status
from worker.domain.recording import LIVE, Recording
from worker.store.database.dialects import among, texts
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import recordings


class DueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for at most `limit` recordings of `app` that are due at `now`.

    If more than `max_single_reads` live recordings became due by webhook since `swept_at`, skip
    them: one list request is cheaper. `max_single_reads=None` disables this.

    If more than `limit` are due, up to `upload_limit` uploads come first. The other places go to
    other recordings first. So neither group waits for hundreds of the other. Recordings in
    `exclude` are being read already.
    """

    app: str
    now: float
    swept_at: float
    max_single_reads: int | None
    limit: int
    upload_limit: int = 0
    exclude: Collection[str] = ()


class DueReads(msgspec.Struct, frozen=True, kw_only=True):
    """The recordings to read now: uploads up to their limit, others, then those due longest.

    `needs_sweep`: recordings were skipped, and a sweep should read them from the list.
    """

    reads: tuple[Recording, ...]
    needs_sweep: bool


def find_due(connection: sa.Connection, query: DueQuery) -> DueReads:
    """The recordings to read now."""
    needs_sweep = _needs_sweep(connection, query)
    reads = _longest_due(connection, query, _Due(without_listable=needs_sweep), query.limit)
    if len(reads) == query.limit:
        reads = _shared_places(connection, query, without_listable=needs_sweep) | reads
    return DueReads(reads=tuple(reads.values())[: query.limit], needs_sweep=needs_sweep)


def _shared_places(
    connection: sa.Connection, query: DueQuery, *, without_listable: bool
) -> dict[str, Recording]:
    """The uploads that have been due for longest, up to their limit, then others."""
    for_uploads = min(query.upload_limit, query.limit)
    uploads, others = _Due(without_listable, "uploads"), _Due(without_listable, "others")
    return _longest_due(connection, query, uploads, for_uploads) | _longest_due(
        connection, query, others, query.limit - for_uploads
    )


def _longest_due(
    connection: sa.Connection, query: DueQuery, due: "_Due", limit: int
) -> dict[str, Recording]:
    if not limit:
        return {}
    values: dict[str, Any] = {
        "app": query.app,
        "now": query.now,
        "limit": limit,
        "exclude": texts(connection, query.exclude),
    }
    if due.without_listable:
        values["swept_at"] = query.swept_at
    found = (
        msgspec.json.decode(state, type=Recording)
        for (state,) in _DUE[due].rows(connection, values)
    )
    return {recording.recording_id: recording for recording in found}


def _needs_sweep(connection: sa.Connection, query: DueQuery) -> bool:
    """Whether one list request is cheaper than the reads that a list makes unnecessary."""
    if query.max_single_reads is None:
        return False
    # Reads at most one row more than the limit.
    values: dict[str, Any] = {
        "app": query.app,
        "now": query.now,
        "swept_at": query.swept_at,
        "limit": query.max_single_reads + 1,
    }
    return len(_LISTABLE_DUE.rows(connection, values)) > query.max_single_reads


class _Due(NamedTuple):
    """The condition on the due recordings."""

    without_listable: bool
    share: Literal["all", "uploads", "others"] = "all"


_IS_DUE: Final = sa.and_(
    recordings.c.app == sa.bindparam("app"), recordings.c.read_at <= sa.bindparam("now")
)
_IS_LISTABLE: Final = sa.and_(
    sa.or_(*(recordings.c.status == status for status in sorted(LIVE))),
    recordings.c.read_at > sa.bindparam("swept_at"),
    recordings.c.webhook_at >= recordings.c.read_at,
)
_IS_UPLOAD: Final = sa.and_(recordings.c.open, recordings.c.status == str(Status.UPLOADED))
_SHARES: Final = {"all": sa.true(), "uploads": _IS_UPLOAD, "others": sa.not_(_IS_UPLOAD)}
_LISTABLE_DUE: Final = DirectStatement(
    sa.select(sa.literal_column("1"))
    .select_from(recordings)
    .where(_IS_DUE, _IS_LISTABLE)
    .limit(sa.bindparam("limit"))
)


def _due_statement(due: _Due) -> DirectStatement:
    not_listable = sa.or_(recordings.c.webhook_at.is_(None), sa.not_(_IS_LISTABLE))
    return DirectStatement(
        sa.select(recordings.c.state)
        .where(
            _IS_DUE,
            sa.not_(among(recordings.c.recording_id, "exclude")),
            _SHARES[due.share],
            not_listable if due.without_listable else sa.true(),
        )
        .order_by(recordings.c.read_at)
        .limit(sa.bindparam("limit"))
    )


_DUE: Final = {
    due: _due_statement(due)
    for due in (
        _Due(without_listable, share)
        for without_listable in (False, True)
        for share in ("all", "uploads", "others")
    )
}
