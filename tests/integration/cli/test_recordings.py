"""`recording-worker recordings` reads the state while a worker runs, on both engines."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import Status
from tests.integration.cli_process import CommandLine
from tests.state_queries import read_state
from tests.store_requests import observation_of
from worker.domain.errors import StoreUnavailable, WrongSettings
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.store.admin.read_only import check_revision, read_only_engine
from worker.store.queries import RecordingsFilter, find_recordings
from worker.store.store import Store

ALL = RecordingsFilter()


def observation(
    recording_id: str, meeting_id: str = "m-1", status: Status = Status.RECORDING
) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=status, kind="track", meeting_id=meeting_id
    )
    return observation_of(snapshot, datetime.now(UTC))


async def test_committed_recordings_are_read_while_a_worker_has_the_database_open(
    database_url: str,
) -> None:
    store = await Store.open(database_url, source="test")
    await store.apply([observation("r-1"), observation("r-2", "m-2", Status.PAUSED)])

    found = {recording.recording_id for recording in read_state(database_url, find_recordings, ALL)}
    paused = read_state(database_url, find_recordings, RecordingsFilter(status=Status.PAUSED))
    of_meeting = read_state(database_url, find_recordings, RecordingsFilter(meeting_id="m-1"))

    assert found == {"r-1", "r-2"}
    assert [recording.recording_id for recording in paused] == ["r-2"]
    assert [recording.recording_id for recording in of_meeting] == ["r-1"]
    await store.close()


async def test_the_recordings_of_one_app_can_be_selected(database_url: str, tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await store.apply([observation("r-1"), msgspec.structs.replace(observation("r-2"), app="eu")])
    assert await store.count_by_app() == {"default": 1, "eu": 1}
    await store.close()

    listed = await cli("recordings", "--app", "eu")

    assert [(row["recording_id"], row["app"]) for row in listed.lines] == [("r-2", "eu")]


async def test_the_most_recently_changed_recordings_come_first(
    database_url: str,
) -> None:
    statuses = (Status.UPLOADED, Status.RECORDING, Status.ERRORED, Status.UPLOADED, Status.PAUSED)
    store = await Store.open(database_url, source="test")
    for number, status in enumerate(statuses):
        files = () if status is Status.UPLOADED else None
        for app in ("eu", "us"):
            observed = observation(f"{app}-{number}", status=status)
            await store.apply([msgspec.structs.replace(observed, app=app, files=files)])
    await store.close()

    def found(**conditions: Any) -> list[str]:
        of_app = RecordingsFilter(app="eu", **conditions)
        return [
            recording.recording_id
            for recording in read_state(database_url, find_recordings, of_app)
        ]

    assert found() == ["eu-4", "eu-3", "eu-2", "eu-1", "eu-0"]
    assert found(limit=3) == ["eu-4", "eu-3", "eu-2"]
    assert found(status=Status.UPLOADED) == ["eu-3", "eu-0"]
    assert found(status=Status.UPLOADED, limit=1) == ["eu-3"]
    assert found(status=Status.PAUSED, meeting_id="m-1") == ["eu-4"]
    assert found(recording_id="us-1") == []


async def test_the_state_is_read_when_no_worker_runs(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    await store.apply([observation("r-1")])
    await store.close()

    assert [
        recording.recording_id for recording in read_state(database_url, find_recordings, ALL)
    ] == ["r-1"]


async def test_reading_does_not_release_the_lease_of_a_worker(sqlite_url: str) -> None:
    store = await Store.open(sqlite_url, source="test")
    await store.close()
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO leases VALUES ('leader', 'somebody', 1e12)")
    connection.close()

    read_state(sqlite_url, find_recordings, ALL)

    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT owner FROM leases").fetchall() == [("somebody",)]
    connection.close()


async def test_the_database_refuses_every_write(database_url: str) -> None:
    await (await Store.open(database_url, source="test")).close()
    engine = read_only_engine(database_url)

    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match=r"read-?only"):
        connection.execute(sa.text("DELETE FROM leases"))
    engine.dispose()


def test_a_database_that_no_worker_used_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no worker has used it yet"):
        read_state(f"sqlite:///{tmp_path / 'state.db'}", find_recordings, ALL)

    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_not_migrated(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()

    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="no tables"):
            read_state(empty_database_url, find_recordings, ALL)


async def at_revision(revision: str, sqlite_url: str) -> None:
    await (await Store.open(sqlite_url, source="test")).close()
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    connection.close()


async def test_tables_of_an_older_revision_are_not_read(database_url: str) -> None:
    engine = read_only_engine(database_url)
    with engine.connect() as connection:
        check_revision(connection)
        with pytest.raises(StoreUnavailable, match="use the version that the workers have"):
            check_revision(connection, head="9999")
    engine.dispose()


COMMANDS = ("status", "recordings", "archive list", "store publish-again --all")


async def test_every_command_names_tables_from_before_the_first_release_and_changes_none(
    sqlite_url: str, tmp_path: Path
) -> None:
    await at_revision("0016", sqlite_url)
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    before = file.read_bytes()
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    await (await Store.open(other, source="test")).close()

    processes = await asyncio.gather(*(cli(*command.split()) for command in COMMANDS))
    processes += [await cli("store", "copy", way, other) for way in ("--from", "--to")]

    for process in processes:
        assert process.code != 0
        assert "revision 0016" in process.out + process.err
        assert "start the worker of commit fecc428 on it once" in process.out + process.err
    assert file.read_bytes() == before


async def test_tables_of_a_newer_revision_are_read(sqlite_url: str) -> None:
    await at_revision("9999", sqlite_url)
    assert read_state(sqlite_url, find_recordings, ALL) == []


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database " * 100)

    with pytest.raises(StoreUnavailable, match="not a database"):
        read_state(f"sqlite:///{tmp_path / 'state.db'}", find_recordings, ALL)


def test_the_error_about_an_unreachable_server_has_no_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        read_state("postgresql://me:hunter2@127.0.0.1:1/state", find_recordings, ALL)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "no url"])
def test_a_url_of_another_kind_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(WrongSettings, match="DATABASE_URL"):
        read_state(url, find_recordings, ALL)


async def test_a_missing_database_is_one_line_on_the_command_line(tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": "sqlite:///nothing.db"}, tmp_path)

    ended = await cli("recordings")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Error: DATABASE_URL: there is no file nothing.db")
    assert len(ended.err.splitlines()) == 1


def test_a_file_that_cannot_be_looked_at_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 300)  # root may look at every other file
    with pytest.raises(StoreUnavailable, match=f"the file {path} cannot be read: File name too"):
        read_state(f"sqlite:///{path}", find_recordings, ALL)


async def test_an_unknown_status_is_shown_beside_the_last_known_one(
    sqlite_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    known = observation("r-1")
    unknown = msgspec.structs.replace(known.snapshot, unknown_status="TRANSCODING")
    await store.apply([known, msgspec.structs.replace(known, snapshot=unknown)])
    await store.close()

    table = await cli("recordings", "--no-json")
    listed = await cli("recordings", "--json")

    assert "RECORDING, API: TRANSCODING" in table.out
    assert [(row["status"], row["unknown_status"]) for row in listed.lines] == [
        ("RECORDING", "TRANSCODING")
    ]
