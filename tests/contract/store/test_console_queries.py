"""The console's queries: correct in every order, and they never scan history."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import CommandRejected, Status
from tests.contract.store.test_plans import (
    HISTORY,
    MAX_ROWS_READ,
    OVER,
    STEPS,
    captured,
    fill,
    named,
    postgresql_plan,
    rows_read,
    sqlite_steps,
)
from tests.contract.store.test_pruning import NOW, OLD, claim, finish, observation, record
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import LIVE
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.admin.archive_pages import read_archive, read_recording_archive
from worker.store.admin.command_pages import (
    CommandsPage,
    find_parked_command,
    find_starts_of_meeting,
    read_commands_page,
    read_unfinished,
    summarize_commands,
)
from worker.store.admin.live_now import read_now
from worker.store.admin.past_commands import CommandCursor, PastCommandsFilter
from worker.store.admin.recording_pages import PageCursor, read_page
from worker.store.admin.search import search
from worker.store.admin.state_reader import StateReader
from worker.store.database.engine import open_engine
from worker.store.database.schema import recordings
from worker.store.store import Store

AT = NOW.timestamp()
LOOK_BACK = 200


def every_question() -> Iterator[Callable[[sa.Connection], object]]:
    """Each query of the console's pages. Queries of the past read few rows."""
    yield read_now
    deep = PageCursor(OLD + 5000, "old5000")
    for app in (None, "default", "retired", "nobody"):
        for status in Status:
            for after in (None, deep):
                yield lambda connection, app=app, status=status, after=after: read_page(  # type: ignore[misc]
                    connection, statuses=[status], app=app, after=after, limit=20
                )
        yield lambda connection, app=app: read_page(  # type: ignore[misc]
            connection, statuses=Status, app=app, after=deep, limit=20
        )
    for text in ("old77", "old7777", "s1", "m12", "M12", "none-of-this", "start-a"):
        yield lambda connection, text=text: search(  # type: ignore[misc]
            connection, text, max_events=LOOK_BACK
        )
    for after_command in (None, CommandCursor(OLD + 5000, "s5000")):
        for condition in (PastCommandsFilter(limit=20), PastCommandsFilter(limit=20, codes=("x",))):
            yield lambda connection, condition=condition, after=after_command: read_commands_page(  # type: ignore[misc]
                connection, condition, after, max_commands=LOOK_BACK
            )
    yield lambda connection: summarize_commands(
        connection, since=OLD, until=AT, slots=48, max_commands=LOOK_BACK
    )
    yield read_unfinished
    yield read_archive
    yield lambda connection: read_recording_archive(connection, "old77")
    yield lambda connection: find_parked_command(connection, "s1")
    yield lambda connection: find_starts_of_meeting(connection, "m12", max_commands=LOOK_BACK)


async def test_no_question_of_the_console_reads_through_history(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    engine = open_engine(database_url)
    fill(engine)
    for name in ("a", "b"):
        await record(store, name, at=NOW, ended=name == "b")
    await store.claim(claim("running", slot="n/track", meeting_id="n"))
    await store.close()
    reader = StateReader(database_url)

    with captured() as statements:
        for question in every_question():
            reader.read(question)

    reader.close()
    with engine.begin() as connection:
        for statement, parameters in statements:
            if not statement.startswith("SELECT") or "alembic" in statement or "pg_" in statement:
                continue
            if engine.dialect.name == "sqlite":
                assert sqlite_steps(connection, statement, parameters) < STEPS, statement
                continue
            for step in postgresql_plan(connection, statement, parameters):
                assert step["Node Type"] != "Seq Scan" or rows_read(step) < MAX_ROWS_READ, statement
                assert rows_read(step) < MAX_ROWS_READ, (statement, step)
    engine.dispose()


MANY_LIVE = 2_000


def fill_live(engine: sa.Engine) -> None:
    """A tenth of all recordings are live, most of them for longer than the newest is over."""
    first = sa.select(sa.literal(0).label("n")).cte("live", recursive=True)
    numbers = first.union_all(sa.select(first.c.n + 1).where(first.c.n < MANY_LIVE - 1))
    n = numbers.c.n
    row: dict[str, Any] = {
        "recording_id": named("live", n),
        "meeting_id": named("lm", n),
        "start_id": named("ls", n),
        "status": sa.case((n % 10 == 7, "PAUSED"), (n % 10 == 8, "INVOKED"), else_="RECORDING"),
        "changed_at": n + (OLD + HISTORY - MANY_LIVE),
        "app": sa.case((n % 5 == 0, "eu"), else_="default"),
        "kind": "track",
        "version": 4,
        "open": True,
        "state": msgspec.json.encode(OVER).decode(),
    }
    values = [
        value if isinstance(value, sa.ColumnElement) else sa.literal(value, recordings.c[name].type)
        for name, value in row.items()
    ]
    with engine.begin() as connection:
        rows = sa.select(*values).select_from(numbers)
        connection.execute(sa.insert(recordings).from_select(list(row), rows))
        connection.execute(sa.text("ANALYZE"))


async def test_with_many_live_recordings_no_page_reads_through_finished_ones(
    database_url: str,
) -> None:
    await (await Store.open(database_url, source="test")).close()
    engine = open_engine(database_url)
    fill(engine)
    fill_live(engine)
    reader = StateReader(database_url)

    with captured() as statements:
        now = reader.read(read_now)
        for app in (None, "default", "eu", "nobody"):
            page = reader.read(read_page, statuses=LIVE, app=app, limit=20)
            assert len(page.recordings) == (0 if app == "nobody" else 20)

    reader.close()
    assert [recording.recording_id for recording in now.longest] == ["live8", "live7", "live0"]
    with engine.begin() as connection:
        for statement, parameters in statements:
            if "FROM recordings" not in statement:
                continue
            if engine.dialect.name == "sqlite":
                assert sqlite_steps(connection, statement, parameters) < 40 * MANY_LIVE, statement
                continue
            for step in postgresql_plan(connection, statement, parameters):
                assert step["Node Type"] != "Seq Scan", statement
                assert rows_read(step) <= MANY_LIVE, (statement, step)
    engine.dispose()


# Pages


async def pages(url: str, **query: Any) -> list[str]:
    """The ids of all pages, one after the other."""
    reader, ids, after = StateReader(url), [], None
    while True:
        page = reader.read(read_page, after=after, limit=3, **query)
        ids += [recording.recording_id for recording in page.recordings]
        after = page.next
        if after is None:
            reader.close()
            return ids


@pytest.mark.parametrize("app", [None, "default"])
async def test_pages_show_each_recording_once_the_latest_change_first(
    database_url: str, app: str | None
) -> None:
    store = await Store.open(database_url, source="test")
    expected = []
    for number in range(11):
        at = NOW + timedelta(seconds=number // 4)  # several changed at the same moment
        await store.apply([observation(f"r{number:02}", Status.RECORDING, at=at)])
        expected.append((at, f"r{number:02}"))
    await store.apply([observation("other", Status.RECORDING, app="b")])
    for number in (2, 7):
        at = NOW + timedelta(seconds=9)
        await store.apply(
            [observation(f"r{number:02}", Status.UPLOADED, at=at, files=(), files_final=True)]
        )
        expected[number] = (at, f"r{number:02}")
    await store.close()

    ids = await pages(database_url, statuses=Status, app=app)

    own = [name for name in ids if name != "other"]
    assert own == [name for _, name in sorted(expected, reverse=True)]
    assert ("other" in ids) is (app is None)


async def test_a_page_has_only_the_requested_statuses(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url, source="test")
    await store.apply([observation("live"), observation("paused", Status.PAUSED)])
    await store.apply([observation("over", Status.ERRORED, files=())])
    await store.close()

    assert await pages(sqlite_url, statuses=[Status.PAUSED]) == ["paused"]
    assert await pages(sqlite_url, statuses=[Status.ERRORED, Status.RECORDING]) == ["over", "live"]
    assert await pages(sqlite_url, statuses=[]) == []


# Commands


def rejection(command_id: str, code: str) -> Any:
    data = CommandRejected(
        command_id=command_id,
        command_type="start_track_recording",
        code=code,
        message=f"about {code}",
        field=None,
        http_status=409,
        metadata=None,
    )
    return outcome_record(data, source="test", at=NOW, correlation_id=None, trace={})


async def with_commands(url: str) -> None:
    store = await Store.open(url, source="test")
    for number in range(7):
        command_id = f"c{number}"
        await store.claim(claim(command_id, slot=f"m{number % 2}/track", now=AT + number))
        request = finish(command_id)
        if number % 2:
            request = msgspec.structs.replace(request, outcome=rejection(command_id, "capacity"))
        await store.finish(msgspec.structs.replace(request, now=AT + number))
    await store.claim(claim("running", slot="m9/track", meeting_id="m9", now=AT))
    await store.claim(claim("of-app", slot="eu/m9/track", meeting_id="m9", now=AT))
    await store.close()


async def test_pages_of_commands_show_each_once_and_errors_are_grouped(database_url: str) -> None:
    await with_commands(database_url)
    reader = StateReader(database_url)

    first: CommandsPage = reader.read(read_commands_page, PastCommandsFilter(limit=4))
    rest = reader.read(read_commands_page, PastCommandsFilter(limit=4), first.next)
    summary = reader.read(summarize_commands, since=AT - 1, until=AT + 9, slots=10)
    unfinished = reader.read(read_unfinished)
    reader.close()

    ids = [command.command_id for command in (*first.commands, *rest.commands)]
    assert ids == [f"c{number}" for number in reversed(range(7))]
    assert rest.next is None
    (group,) = summary.errors
    assert (group.code, group.commands, group.example.command_id) == ("capacity", 3, "c5")
    assert sum(slot.get("rejected", 0) for slot in summary.slots) == 3
    assert sum(slot.get("succeeded", 0) for slot in summary.slots) == 4
    assert [command.command_id for command in unfinished] == ["of-app", "running"]


async def test_starts_of_a_meeting_are_found_in_every_app_and_in_any_case(
    database_url: str,
) -> None:
    await with_commands(database_url)
    reader = StateReader(database_url)

    found = {
        meeting_id: {start.command_id for start in reader.read(find_starts_of_meeting, meeting_id)}
        for meeting_id in ("M9", "m1", "9", "m%")
    }
    reader.close()

    assert found == {"M9": {"running", "of-app"}, "m1": {"c1", "c3", "c5"}, "9": set(), "m%": set()}


# Search


async def test_a_search_finds_what_an_id_means(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    await record(store, "recording-1", at=NOW)
    await store.close()
    reader = StateReader(database_url)

    by_recording = reader.read(search, "recording-1")
    by_beginning = reader.read(search, "recording")
    by_start = reader.read(search, "start-recording-1")
    by_meeting = reader.read(search, "M")
    by_file = reader.read(search, "recording-1.webm")
    nothing = reader.read(search, "nobody's")
    reader.close()

    for found in (by_recording, by_beginning, by_start, by_meeting):
        assert [recording.recording_id for recording in found.recordings] == ["recording-1"]
    assert by_meeting.meetings == ("m",)
    assert [command.command_id for command in by_start.commands] == ["start-recording-1"]
    assert {event.subject for event in by_file.events} == {"recording-1"}
    assert (nothing.recordings, nothing.commands, nothing.events) == ((), (), ())


async def test_a_search_finds_a_meeting_whose_starts_led_to_no_recording(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    await store.claim(claim("waits", slot="meeting-1/track", meeting_id="meeting-1", now=AT))
    await store.claim(claim("other", slot="eu/Meeting_2/track".lower(), now=AT))
    await store.claim(claim("refused", slot="meeting-3/track", now=AT))
    request = msgspec.structs.replace(finish("refused"), outcome=rejection("refused", "capacity"))
    await store.finish(msgspec.structs.replace(request, now=AT))
    await store.close()
    reader = StateReader(database_url)

    found = {
        text: set(reader.read(search, text).meetings)
        for text in (
            "meeting-1",
            "MEETING-3",
            "meeting_2",
            "meeting",
            "eu/m",
            "eeting",
            "track",
            "%%%%",
        )
    }
    reader.close()

    assert found == {
        "meeting-1": {"meeting-1"},
        "MEETING-3": {"meeting-3"},
        "meeting_2": {"meeting_2"},
        "meeting": {"meeting-1", "meeting_2", "meeting-3"},
        **{text: set() for text in ("eu/m", "eeting", "track", "%%%%")},
    }


# Live work


async def test_live_work_is_counted_by_app_and_status(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    await store.apply([observation("a"), observation("b"), observation("c", Status.PAUSED)])
    await store.apply([observation("d", app="eu")])
    await store.claim(claim("running", slot="n/track", meeting_id="n"))
    await store.close()
    reader = StateReader(database_url)

    now = reader.read(read_now)
    reader.close()

    counts = {(count.app, count.status): count.count for count in now.overview.recordings}
    assert counts == {
        ("default", Status.PAUSED): 1,
        ("default", Status.RECORDING): 2,
        ("eu", Status.RECORDING): 1,
    }
    assert (now.unfinished, now.overview.outbox.events) == (1, 4)


# When the next file is lost


def file_of(name: str, expiry: datetime | None) -> Any:
    snapshot = RecordingSnapshot(
        recording_id=name,
        status=Status.UPLOADED,
        kind="track",
        meeting_id="m",
        download_url_expiry=expiry,
    )
    found = TrackFile(file_name=f"{name}.webm", media_kind="audio", download_url="https://u/f")
    return msgspec.structs.replace(
        observation(name), snapshot=snapshot, files=(found,), files_final=True
    )


async def test_without_an_archive_the_url_that_expires_next_is_the_next_file_lost(
    database_url: str,
) -> None:
    store = await Store.open(database_url, source="test")
    now = datetime.now(UTC)
    for name, hours in (("over", -1), ("soon", 2), ("later", 9)):
        await store.apply([file_of(name, now + timedelta(hours=hours))])
    await store.close()
    reader = StateReader(database_url)

    expiry = reader.read(read_now).next_expiry
    reader.close()

    assert expiry is not None
    assert (expiry.recording_id, expiry.is_queued) == ("soon", False)
