"""A query of the outbox is attached to the transaction that adds events, on either engine."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from recording_schemas import Status
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.store.claims import ClaimRequest
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import inbox
from worker.store.database.submissions import LateResult
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store
from worker.store.unsent_events import UnsentEvent

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def observation(recording_id: str, status: Status = Status.RECORDING) -> Observation:
    snapshot = RecordingSnapshot(recording_id=recording_id, status=status, kind="track")
    return observation_of(snapshot, NOW)


def claim(command_id: str) -> ClaimRequest:
    return claim_request(command_id, "sync_recording", now=1.0)


def start_claim(command_id: str) -> ClaimRequest:
    return claim_request(command_id, now=1.0, slot=f"app/{command_id}/track")


def started(command_id: str) -> Observation:
    start = StartContext(start_id=command_id, correlation_id=None, trace={})
    return msgspec.structs.replace(
        observation(f"of-{command_id}", Status.INVOKED), observed_by="command", start=start
    )


def end(command_id: str, reply_to: str | None = None) -> FinishRequest:
    return success_of(
        command_id,
        at=NOW,
        command_type="sync_recording",
        recording_ids=(),
        reply=Reply(reply_to=reply_to),
        now=1.0,
    )


def attach(
    store: Store, *, replies: bool = False, marks: PageMarks | None = None
) -> asyncio.Future[list[UnsentEvent]]:
    return store.next_unsent(10, marks=marks or PageMarks(), now=1.0, replies=replies)


async def commit(store: Store, observations: Sequence[Observation]) -> None:
    """Apply observations in a transaction that commands share."""
    await store._group.submit(store._apply_batch, observations)


async def test_the_commit_that_adds_events_reads_them_and_notifies_no_other(store: Store) -> None:
    notifications: list[str] = []
    store.subscribe("outbox", lambda: notifications.append("outbox"))
    page = attach(store)
    await commit(store, [observation("r1"), observation("r2")])
    assert [event.subject for event in await page] == ["r1", "r2"]
    assert not notifications


async def test_a_page_has_all_events_that_were_committed_before(store: Store) -> None:
    await commit(store, [observation("earlier")])
    page = attach(store)
    await commit(store, [observation("later")])
    assert [event.subject for event in await page] == ["earlier", "later"]


async def test_the_marks_of_an_attached_query_are_committed_with_it(store: Store) -> None:
    await commit(store, [observation("r1")])
    (published,) = await store.unsent(10)
    page = attach(store, marks=PageMarks(sent=[published.position]))
    await commit(store, [observation("r2")])
    assert [event.subject for event in await page] == ["r2"]
    assert [event.subject for event in await store.unsent(10)] == ["r2"]


async def test_an_attached_query_waits_for_events(store: Store) -> None:
    page = attach(store)
    await store.claim(claim("c1"))
    assert not page.done()
    await commit(store, [observation("r1")])
    assert len(await page) == 1


async def test_after_a_withdrawn_query_the_subscribers_are_notified(store: Store) -> None:
    notifications: list[str] = []
    store.subscribe("outbox", lambda: notifications.append("outbox"))
    attach(store).cancel()
    await commit(store, [observation("r1")])
    assert notifications == ["outbox"]
    assert len(await store.unsent(10)) == 1


async def test_a_transaction_that_fails_leaves_the_attached_query_to_the_next(store: Store) -> None:
    def fail(connection: sa.Connection, requests: Sequence[None]) -> list[Any]:
        raise ValueError("nothing is committed")

    page = attach(store)
    failing = asyncio.ensure_future(store._group.submit(fail, None))
    await commit(store, [observation("r1")])
    with pytest.raises(ValueError, match="nothing is committed"):
        await failing
    # Executed alone, each request of the batch notifies as usual.
    assert not page.done()
    await commit(store, [observation("r2")])
    assert [event.subject for event in await page] == ["r1", "r2"]


@pytest.mark.parametrize("reply_to", [None, "replies-here"])
async def test_the_query_for_replies_is_attached_only_to_a_reply(
    store: Store, reply_to: str | None
) -> None:
    await store.claim(claim("c1"))
    events, replies = attach(store), attach(store, replies=True)
    await store.finish(end("c1", reply_to))
    assert [event.exchange for event in await events] == ["results"]
    assert replies.done() == (reply_to is not None)


async def test_a_direct_statement_without_one_of_its_values_is_an_error(
    engine: sa.Engine, store: Store
) -> None:
    statement = DirectStatement(
        sa.select(inbox.c.command_id).where(inbox.c.command_id == sa.bindparam("one"))
    )
    with engine.connect() as connection, pytest.raises(exc.DBAPIError):
        statement.rows(connection, {})


async def test_a_statement_of_sqlalchemy_sees_the_rows_of_earlier_direct_statements(
    store: Store,
) -> None:
    write = DirectStatement(sa.update(inbox).values(last_error=sa.bindparam("words")))

    def operation(connection: sa.Connection, requests: object) -> list[object]:
        write.execute(connection, {"words": 'it\'s 100 % \\ "quoted"; or not'})
        return [connection.execute(sa.select(inbox.c.last_error)).scalars().all()]

    await store.claim(claim("c1"))
    assert await store._group.submit(operation, None) == ['it\'s 100 % \\ "quoted"; or not']


def run_out_of_time(connection: sa.Connection, requests: Sequence[None]) -> list[Any]:
    """Fail like a page that takes longer than the database permits."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL statement_timeout = 1"))
        connection.execute(sa.text("SELECT pg_sleep(10)"))
    connection.execute(sa.text("SELECT 1 FROM missing"))
    return [None]


async def test_an_attached_query_that_fails_does_not_stop_its_commit(store: Store) -> None:
    notifications: list[str] = []
    store.subscribe("outbox", lambda: notifications.append("outbox"))
    page = store._group.attach("outbox", run_out_of_time, None)
    await commit(store, [observation("r1")])
    assert [event.subject for event in await store.unsent(10)] == ["r1"]
    assert notifications == ["outbox"]
    assert not page.done()


async def test_an_attached_query_runs_before_an_operation_that_locks_a_row_of_all_replicas(
    store: Store,
) -> None:
    """An attached query marks events, and another replica may have locked them."""
    order: list[str] = []

    def note(name: str, _connection: sa.Connection, requests: Sequence[None]) -> list[Any]:
        order.append(name)
        return [None] * len(requests)

    page = store._group.attach("outbox", partial(note, "attached"), None)
    last = store._group.submit(partial(note, "last"), None, last=True)
    await asyncio.gather(last, commit(store, [observation("r1")]))
    await page
    assert order == ["attached", "last"]


def command_ids(condition: sa.ColumnElement[bool]) -> DirectStatement:
    return DirectStatement(
        sa.select(inbox.c.command_id).where(condition).order_by(inbox.c.command_id)
    )


async def test_statements_whose_rows_are_asked_for_later_each_get_their_own(store: Store) -> None:
    is_named = command_ids(inbox.c.command_id == sa.bindparam("name"))
    write = DirectStatement(sa.update(inbox).values(last_error=sa.bindparam("words")))
    written = command_ids(inbox.c.last_error == "written")

    def operation(connection: sa.Connection, requests: object) -> list[object]:
        before = written.later_rows(connection, {})
        first = is_named.later_rows(connection, {"name": "c1"})
        write.execute(connection, {"words": "written"})
        second = is_named.later_rows(connection, {"name": "c2"})
        after = written.later_rows(connection, {})
        return [[rows.get() for rows in (after, second, first, before)]]

    await asyncio.gather(store.claim(claim("c1")), store.claim(claim("c2")))
    all_rows = [("c1",), ("c2",)]
    found = await store._group.submit(operation, None)
    assert found == [all_rows, [("c2",)], [("c1",)], []]


async def test_a_late_result_is_made_of_the_rows_that_arrive_with_the_commit(store: Store) -> None:
    ids = command_ids(sa.true())

    def operation(connection: sa.Connection, requests: object) -> list[LateResult[Any]]:
        return [LateResult(ids.later_rows(connection, {}), len)]

    await store.claim(claim("c1"))
    assert await store._group.submit(operation, None) == 1


async def test_a_late_result_that_cannot_be_made_fails_its_own_request_alone(store: Store) -> None:
    def fail(_rows: object) -> None:
        raise ValueError("unreadable")

    def operation(connection: sa.Connection, requests: object) -> list[LateResult[Any]]:
        return [LateResult(command_ids(sa.true()).later_rows(connection, {}), fail)]

    page = attach(store)
    failing = asyncio.ensure_future(store._group.submit(operation, None))
    await commit(store, [observation("r1")])
    with pytest.raises(ValueError, match="unreadable"):
        await failing
    assert [event.subject for event in await page] == ["r1"]


async def test_a_page_that_fails_with_the_commit_does_not_stop_it(store: Store) -> None:
    division = DirectStatement(sa.text("SELECT 1 / :zero FROM missing"))

    def unreadable(connection: sa.Connection, requests: object) -> list[LateResult[Any]]:
        return [LateResult(division.later_rows(connection, {"zero": 0}), len)]

    notifications: list[str] = []
    store.subscribe("outbox", lambda: notifications.append("outbox"))
    page = store._group.attach("outbox", unreadable, None)
    await commit(store, [observation("r1")])
    assert [event.subject for event in await store.unsent(10)] == ["r1"]
    assert notifications == ["outbox"]
    assert not page.done()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_start_takes_four_messages_to_postgresql(store: Store, tmp_path: Path) -> None:
    """Each message costs two wake-ups of the worker and one of the server.

    Only an interrupted start sends a fifth: the query whether its claim still lasts.
    """
    trace = tmp_path / "trace"

    def begin(connection: sa.Connection, requests: object) -> list[None]:
        driver: Any = connection.connection.driver_connection
        driver.pgconn.trace(file.fileno())
        return [None]

    def end_trace(connection: sa.Connection, requests: object) -> list[None]:
        connection.connection.driver_connection.pgconn.untrace()  # type: ignore[union-attr]
        return [None]

    with trace.open("wb") as file:
        await store._group.submit(begin, None)
        await store.claim(start_claim("s1"))
        page = attach(store)
        await store.holds_command("s1", "me", 1.0)
        await store.finish(msgspec.structs.replace(end("s1"), observations=(started("s1"),)))
        assert len(await page) == 2
        await store._group.submit(end_trace, None)
    sent = [line.split("\t") for line in trace.read_text().splitlines()]
    # The commit of `begin`, and the beginning of `end_trace`, are in the trace, too.
    assert sum(fields[1:2] == ["F"] for fields in sent) == 5 + 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_events_are_numbered_by_the_columns_own_sequence_with_any_name(
    store: Store, engine: sa.Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER SEQUENCE outbox_position_seq RENAME TO theirs"))
        connection.execute(sa.text("CREATE SEQUENCE outbox_position_seq"))
    await commit(store, [observation("r1"), observation("r2")])
    await store.claim(start_claim("s1"))
    await store.finish(msgspec.structs.replace(end("s1"), observations=(started("s1"),)))
    assert [event.subject for event in await store.unsent(10)] == ["r1", "r2", "of-s1", "s1"]
