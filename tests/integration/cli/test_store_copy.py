"""Moving the state from one database to another, of either engine."""

import asyncio
import signal
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_schemas import CommandSucceeded, Status
from tests.contract.store.test_archive import end, names, take, take_manifests
from tests.contract.store.test_pruning import observation, record, send_all
from tests.integration.cli_process import CommandLine, worker_command_line
from tests.store_requests import claim_request, observation_of
from worker.domain.errors import StoreUnavailable
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.admin.copy import COPIED, CopiedStore, copy_store
from worker.store.claims import ClaimRequest
from worker.store.cursors import Cursor
from worker.store.database.engine import open_engine
from worker.store.database.schema import named_times
from worker.store.finishing import FinishRequest
from worker.store.leases import LeaseRequest
from worker.store.outbox import Reply
from worker.store.pruning import PruneSentRequest
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
ODD = "Zoë 会議 \x00 🎙"
BIG = "x" * 300_000


@pytest.fixture
def target_url(database_url: str, postgresql: PostgreSQLServer, tmp_path: Path) -> Iterator[str]:
    """An empty database of the engine that `database_url` does not have."""
    if database_url.startswith("postgresql"):
        yield f"sqlite:///{tmp_path / 'target.db'}"
        return
    url = postgresql.new_database()
    yield url
    postgresql.drop_database(url)


@pytest.fixture
def empty_postgresql_url(postgresql: PostgreSQLServer) -> Iterator[str]:
    url = postgresql.new_database()
    yield url
    postgresql.drop_database(url)


def copied(source: str, target: str) -> CopiedStore:
    return copy_store(source, target, lambda _table, _rows: None)


def claim(command_id: str, **changes: Any) -> ClaimRequest:
    fields: dict[str, Any] = {
        "now": NOW.timestamp(),
        "lease_seconds": 1e9,
        "app": "default",
        "slot": f"{command_id}/track",
        "meeting_id": "m1",
        "digest": f"digest of {command_id}"[:32],
    }
    return claim_request(command_id, **(fields | changes))


async def fill(url: str) -> None:
    """Write rows into every table: a done command, a claimed one, a recording with files."""
    store = await Store.open(url, source="test")
    await store.claim(claim("done"))
    await store.claim(claim("in-hand"))
    data = CommandSucceeded(
        command_id="done",
        command_type="start_track_recording",
        recording_ids=("r1",),
        metadata=None,
    )
    record = outcome_record(data, source="test", at=NOW, correlation_id=ODD, trace={"t": BIG})
    snapshot = RecordingSnapshot(
        recording_id="r1", status=Status.UPLOADED, kind="track", meeting_id="m1"
    )
    observation = observation_of(
        snapshot,
        NOW,
        "command",
        start=StartContext(start_id="done"),
        files=tuple(
            TrackFile(file_name=f"{ODD}{n}.webm", user_id=ODD, media_kind="audio", download_url="u")
            for n in range(3)
        ),
    )
    reply = Reply(reply_to="answers")
    await store.finish(
        FinishRequest(outcome=record, reply=reply, observations=(observation,), now=NOW.timestamp())
    )
    cursors = [Cursor(name=f"mark-{n}", at=NOW.timestamp() + n / 7) for n in range(450)]
    await asyncio.gather(*(store.set_cursor(cursor) for cursor in cursors))  # more than two batches
    await store.release_leases("me")
    await store.close()


def rows(url: str) -> dict[str, set[tuple[Any, ...]]]:
    """All rows of the database, except leases."""
    engine = open_engine(url)
    with engine.connect() as connection:
        found = {
            table.name: {tuple(row) for row in connection.execute(sa.select(table))}
            for table in COPIED
        }
    engine.dispose()
    return found


async def test_a_copy_has_every_row_of_the_source_as_it_was(
    database_url: str, target_url: str
) -> None:
    await fill(database_url)
    before = rows(database_url)

    copy = copied(database_url, target_url)

    copied_rows = rows(target_url)
    assert rows(database_url) == before
    assert {table.table: table.rows for table in copy.tables} == {
        name: len(found) for name, found in before.items()
    }
    assert copied_rows.pop("inbox") != (former := before.pop("inbox"))
    assert copied_rows == before
    assert len(former) == 2
    assert all(before[name] for name in ("recordings", "files", "outbox", "marks"))


async def test_the_copy_has_no_leases_of_a_dead_worker(database_url: str, target_url: str) -> None:
    await fill(database_url)
    copied(database_url, target_url)
    store = await Store.open(target_url, source="test")

    again = await store.claim(claim("in-hand", owner="another"))
    repeat = await store.claim(claim("done", owner="another"))

    assert (again.verdict, again.attempts, again.called_at) == ("again", 2, NOW.timestamp())
    assert repeat.verdict == "done"
    await store.close()


async def test_events_that_follow_the_copied_ones_are_numbered_behind_them(
    database_url: str, target_url: str
) -> None:
    await fill(database_url)
    copied(database_url, target_url)
    store = await Store.open(target_url, source="test")
    waiting = await store.unsent(100)

    await store.claim(claim("done", reply=Reply(reply_to="somebody")))

    *former, outcome, reply = await store.unsent(100)
    assert former == waiting
    assert former[-1].position < outcome.position < reply.position
    assert (outcome.exchange, reply.routing_key) == ("results", "somebody")
    await store.close()


async def test_the_numbering_continues_behind_pruned_events(
    database_url: str, target_url: str
) -> None:
    """A recording numbers its events. Its new events must not seem older than the copied ones."""
    store = await Store.open(database_url, source="test")
    for number in range(60):  # more than the gap that a range of positions may have
        await record(store, f"r{number}", at=NOW, ended=False)
    await send_all(store, 1.0)
    await store.prune_sent(PruneSentRequest(before=2.0))
    await store.release_leases("me")
    await store.close()
    copied(database_url, target_url)
    store = await Store.open(target_url, source="test")

    await store.apply([observation("r59", Status.UPLOADING, at=NOW)])

    (event,) = await store.unsent(10)
    assert event.position > 120
    assert await store.find_replayable(["r59"]) == {"r59"}
    await store.close()


async def test_a_second_copy_changes_nothing_and_says_so(
    database_url: str, target_url: str
) -> None:
    await fill(database_url)
    first = copied(database_url, target_url)

    again = copied(database_url, target_url)

    assert (first.fresh, again.fresh) == (True, False)
    assert first.tables == again.tables


async def test_a_copy_to_the_other_engine_and_back_changes_nothing(
    database_url: str, target_url: str, tmp_path: Path
) -> None:
    await fill(database_url)
    first = copied(database_url, target_url)

    back = copied(target_url, f"sqlite:///{tmp_path / 'third.db'}")

    assert first.tables == back.tables


async def test_a_target_with_other_rows_is_not_changed(database_url: str, target_url: str) -> None:
    await fill(database_url)
    store = await Store.open(target_url, source="test")
    await store.set_cursor(Cursor(name="mine", at=1.0))
    await store.close()

    with pytest.raises(StoreUnavailable, match=r"^target: it is not empty.* marks"):
        copied(database_url, target_url)

    assert {name for name, found in rows(target_url).items() if found} == {"marks"}


async def test_a_database_that_a_worker_uses_is_neither_source_nor_target(
    database_url: str, target_url: str
) -> None:
    await fill(database_url)
    copied(database_url, target_url)
    store = await Store.open(database_url, source="test")
    await store.acquire_lease(
        LeaseRequest(name="leader", owner="me", now=store.now(), until=store.now() + 60)
    )

    with pytest.raises(StoreUnavailable, match=r"source: .*worker uses"):
        copied(database_url, target_url)
    with pytest.raises(StoreUnavailable, match=r"target: .*worker uses"):
        copied(target_url, database_url)
    await store.close()


async def test_a_row_that_the_target_cannot_hold_leaves_it_as_it_was(
    sqlite_url: str, empty_postgresql_url: str
) -> None:
    await fill(sqlite_url)
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO marks VALUES (?, 1.0)", ["a\x00b"])
    connection.close()

    with pytest.raises(StoreUnavailable, match=r"target: .*NUL"):
        copied(sqlite_url, empty_postgresql_url)

    engine = open_engine(empty_postgresql_url)
    with engine.connect() as connected:
        assert sa.inspect(connected).get_table_names() == []
    engine.dispose()


async def test_a_copy_that_reads_back_differently_is_rolled_back(
    sqlite_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_url)
    target = f"sqlite:///{tmp_path / 'target.db'}"
    await (await Store.open(target, source="test")).close()
    with sqlite3.connect(tmp_path / "target.db") as connection:
        connection.execute(
            "CREATE TRIGGER lossy AFTER INSERT ON marks WHEN NEW.name = 'mark-7'"
            " BEGIN UPDATE marks SET at = at + 1 WHERE name = NEW.name; END"
        )
    connection.close()

    with pytest.raises(StoreUnavailable, match=r"^target: the rows read back differ"):
        copied(sqlite_url, target)

    assert not any(rows(target).values())


async def test_nobody_writes_to_either_database_while_it_is_copied(
    sqlite_url: str, empty_postgresql_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_url)
    refused: list[str] = []

    def try_to_write(_table: str, _rows: int) -> None:
        engine = open_engine(f"{empty_postgresql_url}?options=-clock_timeout%3D50")
        insert = sa.insert(named_times).values(name="mine", at=1.0)
        with pytest.raises(sa.exc.DBAPIError) as caught, engine.begin() as connection:
            connection.execute(insert)
        refused.append(str(caught.value.orig))
        engine.dispose()

    await (await Store.open(empty_postgresql_url, source="test")).close()
    copy_store(sqlite_url, empty_postgresql_url, try_to_write)
    count = len(refused)
    copy_store(empty_postgresql_url, f"sqlite:///{tmp_path / 'third.db'}", try_to_write)

    assert 0 < count < len(refused)
    assert all("lock timeout" in words for words in refused)


async def test_a_database_that_waits_long_for_the_other_one_is_copied(
    sqlite_url: str, empty_postgresql_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_url)
    # Long enough for a busy machine to connect.
    impatient_url = f"{empty_postgresql_url}?options=-cidle_in_transaction_session_timeout%3D1s"
    waits: Iterator[float]

    def wait_once(*_: object) -> None:
        # The copy is slow here: it takes longer than the other database waits.
        time.sleep(next(waits, 0.0))

    for source, target in (
        (sqlite_url, impatient_url),
        (impatient_url, f"sqlite:///{tmp_path / 'third.db'}"),
    ):
        waits = iter([1.2])
        copy_store(source, target, wait_once)
        assert not list(waits), "it never waited"


async def test_a_database_of_another_revision_is_not_copied(
    sqlite_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_url)
    target = tmp_path / "target.db"
    for revision, help_ in (("0016", "commit fecc428"), ("9999", "newer version")):
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.close()
        with pytest.raises(StoreUnavailable, match=rf"source: .*{revision}.*{help_}"):
            copied(sqlite_url, f"sqlite:///{target}")
    assert not target.exists()


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine({}, tmp_path)


async def test_urls_come_from_files_and_from_the_settings(
    cli: CommandLine, sqlite_url: str, empty_postgresql_url: str, tmp_path: Path
) -> None:
    await fill(sqlite_url)
    secret = tmp_path / "database-url"
    secret.write_text(empty_postgresql_url + "\n")

    copy = await cli("store", "copy", "--from", sqlite_url, DATABASE_URL_FILE=str(secret))
    again = await cli("store", "copy", "--to-file", str(secret), DATABASE_URL=sqlite_url)

    assert (copy.code, again.code) == (0, 0), copy.err + again.err
    assert [row["table"] for row in copy.lines] == [table.name for table in COPIED]
    assert copy.lines == again.lines
    assert "Copied" in copy.err
    assert "nothing was changed" in again.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "postgresql://me:hunter2@127.0.0.1:1/state"], "--from-file"),
        (["--to", "postgresql://127.0.0.1:1/state?password=hunter2"], "--to-file"),
        (["--from", "mysql://me@host/hunter2"], "--from"),
        (["--from", "sqlite:///a.db", "--from-file", "root.txt"], "not both"),
        (["--to-file", "missing.txt"], "missing.txt"),
        (["--from", "sqlite:///a.db"], "DATABASE_URL"),
        ([], "--from"),
    ],
)
async def test_a_wrong_end_is_named_without_its_password(
    cli: CommandLine, arguments: list[str], words: str
) -> None:
    ended = await cli("store", "copy", *arguments)

    assert ended.code == 2
    assert words in ended.err
    assert "hunter2" not in ended.err


async def test_a_missing_source_is_one_line_and_makes_no_target(
    cli: CommandLine, tmp_path: Path
) -> None:
    ended = await cli("store", "copy", "--from", "sqlite:///no.db", "--to", "sqlite:///new.db")

    assert ended.code == 1
    assert ended.err.startswith("Error: source: there is no file no.db")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
async def api() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(speed=20.0)) as running:
        yield running


@pytest.fixture
def worker_cli(
    api: Sandbox, amqp_url: str, names_prefix: str, tmp_path: Path
) -> Callable[[str], CommandLine]:
    """The command line of workers on a database."""

    def on(url: str) -> CommandLine:
        return worker_command_line(amqp_url, names_prefix, api, url, tmp_path)

    return on


async def test_a_worker_continues_with_the_copy(
    worker_cli: Callable[[str], CommandLine], sqlite_url: str, empty_postgresql_url: str
) -> None:
    old, new = worker_cli(sqlite_url), worker_cli(empty_postgresql_url)
    meeting = str(uuid.uuid4())
    start = ("send", "start_track_recording", "--meeting-id", meeting, "--id", "s-1")
    await old("topology", "declare")
    async with old.running("run") as worker:
        (started,) = (await old(*start, "--wait", "--timeout", "20")).lines
        worker.signal(signal.SIGTERM)
        assert (await worker.end()).code == 0
    store = await Store.open(sqlite_url, source="test")  # a repeat that is not reported yet
    await store.claim(claim("s-1"))
    await store.close()

    moved = await old("store", "copy", "--from", sqlite_url, DATABASE_URL=empty_postgresql_url)
    assert moved.code == 0, moved.err

    async with (
        new.running("tail", "--exchange", "results") as results,
        new.running("tail", "--meeting-id", meeting) as tail,
    ):
        await results.says("Listening on")
        await tail.says("Listening on")
        async with new.running("run") as worker:
            unsent = msgspec.json.decode(await results.line())
            stopped = await new("send", "stop_recording", "--start-id", "s-1", "--wait")
            (again,) = (await new(*start, "--wait", "--timeout", "20")).lines
            while msgspec.json.decode(await tail.line())["type"] != "recording.completed.v1":
                pass
            worker.signal(signal.SIGTERM)
            assert (await worker.end()).code == 0

    (known,) = (await new("recordings")).lines
    assert unsent["id"] == started["id"] == again["id"]
    assert stopped.code == 0
    assert (known["status"], known["completed"]) == ("UPLOADED", True)
    assert [known["recording_id"]] == started["data"]["recording_ids"]


async def test_files_that_wait_for_the_archive_are_due_at_the_target_also_those_that_were_taken(
    database_url: str, target_url: str
) -> None:
    source = await Store.open(database_url, source="test", archives=True)
    await end(source, "r1", "a", "b")
    await source.apply([observation("r2", Status.ERRORED, files=())])
    taken = await take(source, 1)
    assert len(taken) == len(await take_manifests(source)) == 1
    await source.close()

    copied(database_url, target_url)

    target = await Store.open(target_url, source="test", archives=True)
    tasks = await take(target, owner="other")
    manifests = await take_manifests(target, owner="other")
    await target.close()
    assert sorted(names(tasks)) == ["a", "b"]
    assert [task.download_url for task in tasks if names([task]) == ["a"]] == [
        "https://files.example/a"
    ]
    assert [manifest.recording_id for manifest in manifests] == ["r2"]
