"""No query scans history, on either engine."""

import asyncio
import inspect
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_schemas import Status
from tests.contract.store.test_pruning import NOW, OLD, claim, finish, observation, record
from tests.state_queries import read_state
from worker.domain.meeting_participants import People
from worker.domain.recording import Recording
from worker.domain.track_files import TrackFile
from worker.store import inbox as store_inbox
from worker.store.action_intents import ActionIntent
from worker.store.admin.overview import read_overview
from worker.store.admin.past_commands import (
    PastCommandsFilter,
    find_past_commands,
    summarize_past_commands,
)
from worker.store.admin.recording_details import find_details
from worker.store.admin.short_ids import find_whole_ids
from worker.store.app_identities import AppIdentity
from worker.store.clock_repair import Repair
from worker.store.cursors import Cursor
from worker.store.database.direct import STATEMENT_WATCHERS
from worker.store.database.engine import open_engine
from worker.store.database.migrate import migrate
from worker.store.database.schema import files, inbox, outbox, recordings
from worker.store.due_reads import DueQuery
from worker.store.late_adoption import LateAdoption
from worker.store.leases import LeaseRequest
from worker.store.observations import WebhookObservation, apply_batch
from worker.store.outbox import Reply
from worker.store.outbox_marks import Deferral, PageMarks, Release
from worker.store.parking import KeptMessage, LiveSessions, ParkRequest, RepeatRequest
from worker.store.people_of_starts import PeopleOfStart
from worker.store.prune_clock import Pruning
from worker.store.pruning import PruneCursor, PruneRequest, PruneSentRequest
from worker.store.queries import RecordingsFilter
from worker.store.read_schedule import OverdueQuery, ScheduledRead, UnlistedQuery
from worker.store.releasing import ReleaseRequest
from worker.store.replay_pages import PAGE_EVENTS
from worker.store.stop_times import DueStopsQuery, MovedStop
from worker.store.store import Store

HISTORY: Final = 20_000
MAX_ROWS_READ: Final = 1_000
"""A statement may read this many rows that it does not need."""
STEPS: Final = 40 * MAX_ROWS_READ
"""SQLite's virtual machine takes at most this many steps to read a few rows."""
PAGE_BYTES: Final = 4096 + 24
"""The size of a page in SQLite's write-ahead log."""
LIVE_INDEXES: Final = {
    "recordings_open",
    "recordings_due",
    "recordings_to_stop",
    "outbox_unsent",
    "outbox_held",
    "replays",
    "inbox_unfinished_slot",
}
"""Indexes without rows of ended work."""


OVER: Final = Recording(
    recording_id="old", app="default", kind="track", status=Status.ERRORED, meeting_id="m"
)


def _numbers() -> sa.CTE:
    first = sa.select(sa.literal(0).label("n")).cte("numbers", recursive=True)
    return first.union_all(sa.select(first.c.n + 1).where(first.c.n < HISTORY - 1))


NUMBERS: Final = _numbers()
"""The database generates the rows of history, because Python would take seconds."""


def named(prefix: str, number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.literal(prefix) + sa.cast(number, sa.String)


def _column(column: sa.Column[Any], value: Any) -> sa.ColumnElement[Any]:
    return value if isinstance(value, sa.ColumnElement) else sa.literal(value, column.type)


def fill(engine: sa.Engine) -> None:
    """The history of years, and a little live work."""
    outcome = msgspec.json.encode(finish("x").outcome).decode()
    done = {"command_type": "t", "state": "done", "attempts": 1, "crashes": 0, "alone": False}
    over = {"kind": "track", "version": 4, "open": False}
    over["state"] = msgspec.json.encode(OVER).decode()
    event = {"event_type": "t", "exchange": "status", "routing_key": "k", "headers": "{}"}
    event |= {"body": b"{}", "sent_at": OLD, "created_at": OLD}  # type: ignore[dict-item]
    n = NUMBERS.c.n
    meeting = named("m", n % 5000)
    history: dict[sa.Table, dict[str, Any]] = {
        inbox: {**done, "command_id": named("s", n), "first_seen_at": OLD,
                "slot": meeting + "/track", "outcome": outcome, "finished_at": n + OLD},
        recordings: {**over, "recording_id": named("old", n), "meeting_id": meeting,
                     "status": sa.case((n % 3 == 0, "UPLOADED"), else_="ERRORED"),
                     "start_id": named("s", n), "changed_at": n + OLD,
                     "app": sa.case((n < HISTORY // 2, "retired"), else_="default")},
        files: {"recording_id": named("old", n), "file_index": 1, "file_name": "f",
                "found_at": OLD},
        outbox: {**event, "event_id": named("e", n), "subject": named("old", n)},
    }  # fmt: skip
    with engine.begin() as connection:
        for table, row in history.items():
            columns = [_column(table.c[name], value) for name, value in row.items()]
            rows = sa.select(*columns).select_from(NUMBERS).order_by(n)
            connection.execute(sa.insert(table).from_select(list(row), rows))
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            # Sizes of pages as well as of tables: index-only scans depend on them.
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text("VACUUM ANALYZE"))


@contextmanager
def captured() -> Iterator[list[tuple[str, Any]]]:
    """Every statement that is executed, each time with its parameters."""
    found: list[tuple[str, Any]] = []

    def note(
        _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        add(statement, parameters[0] if many else parameters)

    def add(statement: str, parameters: Any) -> None:
        if not statement.startswith(("INSERT", "BEGIN", "PRAGMA")):
            found.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    STATEMENT_WATCHERS.append(add)
    try:
        yield found
    finally:
        STATEMENT_WATCHERS.remove(add)
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def everything(store: Any) -> None:
    """Each method of the store at least once, in every way in which it asks the database."""
    for name in ("a", "b"):
        await record(store, name, at=NOW, ended=name == "b")
    await store.claim(claim("start-a", slot="a/track", meeting_id="m"))  # a repeat
    await store.claim(claim("new", slot="n/track", meeting_id="m", rival_slots=()))
    await store.claim(claim("new", slot="n/track", meeting_id="m", now=NOW.timestamp() + 1))
    rivals = ("m/track", "m/composite")
    await store.claim(
        claim("stop-meeting", meeting_id="m", rival_slots=rivals, cancels_starts=True)
    )
    intent = ActionIntent(command_id="stop-meeting", owner="me", recording_ids=["a"])
    await store.keep_intent(intent, [observation("external")])
    for status in (Status.RECORDING, Status.UPLOADING):
        await store.apply([observation("of-a-start", status, awaits_start=True)])
    await store.adopt_deferred(LateAdoption(app="default", now=NOW.timestamp()))
    await store.claim(claim("postponed", slot="p/track", first_seen=NOW.timestamp()))
    await store.claim(claim("stop-start", start_id="start-a"))
    await store.claim(claim("stop-recording", recording_id="a"))
    await store.claim(claim("late", slot="n/track", abandoned_before=NOW.timestamp() + 9))
    await store.holds_command("new", "me", 1.0)
    await store.find_start_id("old1")
    people = People(user_ids=("u1",), custom_ids={"u1": "ann"})
    await store.keep_people(PeopleOfStart(command_id="new", owner="me", people=people))
    await store.release(
        ReleaseRequest(command_id="new", uncertain=False, last_error="{}", owner="me")
    )
    await parked(store)
    await store.finish(finish("start-a"))
    await store.apply_page([observation("c"), observation("a", Status.UPLOADED, files=())])
    await store.acquire_lease(LeaseRequest(name="leader", owner="me", now=1.0, until=2.0))
    await store.acquire_lease(LeaseRequest(name="leader", owner="other", now=1.0, until=2.0))
    await store.prune_leases(1.0)
    await store.advance_prune_clock(Pruning(now=NOW.timestamp(), longest=1.0))
    await store.correct_times(Repair(now=NOW.timestamp(), read_ahead=86_400.0))
    await store.release_leases("me")
    await store.mark_page(PageMarks(sent=[event.position for event in await store.unsent(3)]), OLD)
    (refused, *_) = await store.unsent(3)
    late = Deferral(position=refused.position, retry_at=OLD, tries=1, losses=0, error="full")
    aside = Deferral(position=refused.position + 1, retry_at=-1.0, tries=1, losses=0, error="")
    release = Release(exchange="status", routing_key="track.invoked", limit=2)
    await store.mark_page(PageMarks(deferred=[late, aside], released=[release]), OLD)
    for replies in (None, True, False):
        await store.unsent(3, replies=replies, resume=True, now=OLD - 1)
    await replay(store)
    await store.outbox_depth()
    await store.count_by_status()
    await store.staleness()
    await store.count_by_app()
    for app_id in ("first", "other"):
        await store.adopt_app(
            AppIdentity(name="default", account_id="account", app_id=app_id, now=OLD)
        )
    await follow(store)
    for query in filters():
        await store.recordings(query)
    await store.prune_sent(PruneSentRequest(before=OLD + 1))
    for prune in (store.prune_recordings, store.prune_commands):
        for after in (None, PruneCursor(OLD + 500, "old500")):
            await prune(PruneRequest(before=OLD + 2000, after=after))


def read_by_hand(url: str) -> None:
    """The queries of the command line."""
    read_state(url, read_overview)
    for text in ("old1…", "s1…", "m1…", "1a2b", "s1"):
        read_state(url, find_whole_ids, text, ("recording", "command", "meeting"))
    read_state(url, summarize_past_commands, PastCommandsFilter(since=OLD + HISTORY - 100))
    for wanted_id in ("a", "old1", "s1", "start-a", "nobody"):
        read_state(url, find_details, wanted_id, max_events=100)
    for condition in (
        PastCommandsFilter(limit=5),
        PastCommandsFilter(limit=5, since=OLD + 100, until=OLD + 200),
        PastCommandsFilter(limit=5, since=OLD + 100, until=OLD + 1200, app="nobody"),
        PastCommandsFilter(command_id="s1"),
    ):
        read_state(url, find_past_commands, condition)


async def replay(store: Any) -> None:
    """Publish events again: of a recording of history, and of one that needs several pages."""
    await store.find_replayable(["a", "old1"])
    files = tuple(
        TrackFile(file_name=f"{number}.webm", media_kind="audio", download_url="u")
        for number in range(PAGE_EVENTS * 2)
    )
    await store.apply([observation("large", Status.UPLOADED, files=files, files_final=True)])
    for number, reply in enumerate((Reply(), Reply(reply_to="mine"))):
        command_id = f"replay-{number}"
        await store.claim(claim(command_id, recording_id="large"))
        request = finish(command_id)
        await store.finish(msgspec.structs.replace(request, replay_ids=("large", "a"), reply=reply))
    for _ in range(4):
        for replies in (False, True):
            page = await store.unsent(5000, replies=replies, now=OLD, resume=True)
            sent = [event.position for event in page]
            await store.mark_page(PageMarks(sent=sent), OLD)


async def parked(store: Any) -> None:
    """The queries for commands that wait outside the queue."""
    now = NOW.timestamp()
    message = KeptMessage(body=b"{}", envelope="{}")
    for waits_for in ("session", "start"):
        await store.claim(claim(waits_for, slot=f"{waits_for}/track", meeting_id="w"))
        await store.park(
            ParkRequest(
                command_id=waits_for,
                owner="me",
                waits_for=waits_for,
                app="default",
                subject="w",
                now=now,
                due_at=now + 9,
                ignore_lists_until=0.0,
                message=message,
                last_error="{}",
                reply=Reply(),
            )
        )
        await store.claim(claim(waits_for, slot=f"{waits_for}/track", meeting_id="w"))
        await store.park_repeat(RepeatRequest(command_id=waits_for, message=message))
    await store.awaits_session("default")
    await store.make_starts_due(LiveSessions(app="default", meeting_ids=["w", "x"], asked_at=now))
    await store.count_parked()
    due = await store.due_commands(now)
    await store.remove_published([command.position for command in due])


def filters() -> Iterator[RecordingsFilter]:
    """Each filter of recordings, alone and with every other: some of many rows, and no row."""
    statuses = (None, Status.PAUSED, Status.UPLOADED)
    apps = (None, "default", "retired", "one-that-has-none")
    ids: tuple[dict[str, Any], ...] = (
        {},
        {"meeting_id": "m1"},
        {"recording_id": "old1"},
        {"start_id": "s1"},
    )
    for status, app, condition in itertools.product(statuses, apps, ids):
        for order in ("changed", "unchanged", "age"):
            yield RecordingsFilter(status=status, app=app, sort=order, limit=5, **condition)
        bounds: dict[str, Any] = {"after": OLD + 5000, "before": OLD + 9000}
        yield RecordingsFilter(status=status, app=app, limit=5, **bounds, **condition)
    yield RecordingsFilter()


async def follow(store: Any) -> None:
    """The queries of the sweep, the refresher and webhooks."""
    now = NOW.timestamp()
    webhook = msgspec.structs.replace(observation("a", Status.PAUSED), observed_by="webhook")
    await store.apply_webhook(WebhookObservation(observation=webhook))
    external = msgspec.structs.replace(observation("nobody's"), observed_by="webhook")
    await store.apply_webhook(WebhookObservation(observation=external, follow_all=True))
    await store.schedule_read(ScheduledRead(ids=["a", "b"], at=now))
    await store.schedule_read(ScheduledRead(ids=["a", "b"], at=now + 1, postpone=True))
    await store.find_unlisted(UnlistedQuery(app="default", now=now + 9))
    for few, besides in ((0, ()), (9, ("x",))):
        await store.find_due_reads(
            DueQuery(
                app="default",
                now=now + 9,
                swept_at=0.0,
                max_single_reads=few,
                limit=1,
                upload_limit=1,
                exclude=besides,
            )
        )
    overdue = OverdueQuery(
        app="default",
        now=now,
        changed_before={Status.INVOKED: now, Status.UPLOADING: now - 9},
        first_seen_before={Status.RECORDING: now, Status.UPLOADING: now - 9},
    )
    await store.find_overdue(overdue)
    await store.schedule_overdue(overdue)
    await store.find_live("default")
    await store.find_tracked(["a", "old1"])
    await store.find_starting(["n/track", "m/composite"])
    await store.is_any_calling(["n/track", "m/composite"])
    await store.set_cursor(Cursor(name="followed/default", at=now))
    await store.cursor("followed/default")
    await store.due_stops(DueStopsQuery(app="default", now=now, limit=9, exclude=("x",)))
    await store.move_stop(MovedStop(recording_id="old1", before=now, stop_at=now + 9))


class TrackedStore:
    """A store, and which of its methods were used."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(self.store, name)


def sqlite_plan(connection: sa.Connection, statement: str, parameters: Any) -> list[str]:
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    return [row[3] for row in plan]


def reads_through(step: str) -> bool:
    """Whether the step scans a table, except by an index of live rows."""
    scan = re.match(r"SCAN (inbox|recordings|files|outbox|earlier)\b(?:.* INDEX (\w+))?", step)
    return scan is not None and scan[2] not in LIVE_INDEXES


def sqlite_steps(connection: sa.Connection, statement: str, parameters: Any) -> int:
    """The steps of SQLite's virtual machine for a query, in hundreds rounded down."""
    hundreds = itertools.count()
    machine = connection.connection.driver_connection
    machine.set_progress_handler(lambda: next(hundreds) and None, 100)  # type: ignore[union-attr]
    connection.exec_driver_sql(statement, parameters).all()
    machine.set_progress_handler(None, 0)  # type: ignore[union-attr]
    return 100 * next(hundreds)


def postgresql_plan(connection: sa.Connection, statement: str, parameters: Any) -> list[dict]:  # type: ignore[type-arg]
    """The steps of the plan: of a query as executed, of a change as planned."""
    how = "ANALYZE, FORMAT JSON" if statement.startswith("SELECT") else "FORMAT JSON"
    answer = connection.exec_driver_sql(f"EXPLAIN ({how}) {statement}", parameters)
    (tree,) = answer.scalar_one()
    return list(steps(tree["Plan"]))


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from steps(child)


def rows_read(step: dict[str, Any]) -> float:
    """The rows that a step reads in all its repetitions."""
    if "Actual Rows" not in step:
        return float(step["Plan Rows"])
    rows = step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
    return float(rows * step["Actual Loops"])


async def test_no_statement_reads_through_history(database_url: str) -> None:
    await (await Store.open(database_url, source="test")).close()
    engine = open_engine(database_url)
    fill(engine)
    with captured() as statements:
        store = await Store.open(database_url, source="test")
        tracked = TrackedStore(store)
        try:
            await everything(tracked)
            read_by_hand(database_url)
        finally:
            await store.close()
    methods = {name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction)}
    assert methods - tracked.used == {"open", "close", "listen", "acquire_tokens"}, (
        "ask these here too"
    )
    assert_bounded(engine, statements)
    engine.dispose()


def assert_bounded(engine: sa.Engine, statements: Sequence[tuple[str, Any]]) -> None:
    """Fails if one of these statements scans history."""
    with engine.begin() as connection:
        for statement, parameters in statements:
            if engine.dialect.name == "sqlite" and statement.startswith("SELECT"):
                assert sqlite_steps(connection, statement, parameters) < STEPS, statement
            elif engine.dialect.name == "sqlite":
                plan = sqlite_plan(connection, statement, parameters)
                assert not [step for step in plan if reads_through(step)], statement
            else:
                for step in postgresql_plan(connection, statement, parameters):
                    assert step["Node Type"] != "Seq Scan" or rows_read(step) < MAX_ROWS_READ, (
                        statement
                    )
                    assert rows_read(step) < MAX_ROWS_READ, (statement, step)


def starts_at_once(connection: sa.Connection, names: Sequence[str]) -> None:
    """This many starts in one transaction, each with its recording."""
    begun = [claim(f"start-{name}", slot=f"{name}/track") for name in names]
    ended = [finish(f"start-{name}", observation(name, start_id=f"start-{name}")) for name in names]
    store_inbox.claim(connection, begun)
    apply_batch(connection, ended, source="test", archives=True)


def test_a_query_first_planned_on_small_tables_uses_indexes_when_they_have_grown(
    postgresql: PostgreSQLServer,
) -> None:
    engine = open_engine(postgresql.new_database())
    with engine.connect() as connection:
        with connection.begin():
            migrate(connection)
        for number in range(20):  # the driver prepares a statement after some executions
            with connection.begin():
                starts_at_once(connection, [f"single-{number}"])
        with connection.begin():
            starts_at_once(connection, [f"many-{number}" for number in range(5 * MAX_ROWS_READ)])
        read = sa.text("SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables")
        with connection.begin():
            # The view also counts reads that are not yet in the statistics.
            before = connection.execute(read).scalar_one()
            starts_at_once(connection, [f"few-{number}" for number in range(10)])
            assert connection.execute(read).scalar_one() - before < MAX_ROWS_READ
    engine.dispose()


async def test_a_start_changes_one_page_of_history_on_sqlite(tmp_path: Path) -> None:
    pages = {}
    for name in ("empty", "long"):
        url = f"sqlite:///{tmp_path / name}"
        await (await Store.open(url, source="test")).close()
        if name == "long":
            engine = open_engine(url)
            fill(engine)
            engine.dispose()
        store = await Store.open(url, source="test")
        # Spread over the existing ids, as random ids are.
        apart = range(0, HISTORY, HISTORY // 100)
        begun = [claim(f"s{n}-", slot=f"m{n}-/track", meeting_id=f"m{n}-") for n in apart]
        ended = [finish(f"s{n}-", observation(f"old{n}-", start_id=f"s{n}-")) for n in apart]
        await asyncio.gather(*map(store.claim, begun))
        await asyncio.gather(*map(store.finish, ended))
        pages[name] = (tmp_path / f"{name}-wal").stat().st_size // PAGE_BYTES
        await store.close()
    assert pages["long"] - pages["empty"] < 1.5 * len(apart), pages
