"""SQLite's files are removed, replaced or made read-only while a worker has them open."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from worker.domain.errors import StoreUnavailable
from worker.store.cursors import Cursor
from worker.store.database.engine import make_private
from worker.store.leader import LeaderElector
from worker.store.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    store = await open_store(path)
    yield store
    await store.close()


async def open_store(path: Path) -> Store:
    store = await Store.open(f"sqlite:///{path}", source="test")
    await set_cursor(store, "before")
    return store


async def set_cursor(store: Store, name: str) -> None:
    await store.set_cursor(Cursor(name=name, at=1.0))


def cursors(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {name for (name,) in connection.execute("SELECT name FROM marks")}


def saved(path: Path) -> Path:
    (found,) = path.parent.glob(f"{path.name}.saved-*")
    return found


def must_end(store: Store) -> bool:
    return store.is_lost.is_set()


def another_database(path: Path) -> Path:
    other = path.with_name("other.db")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE marks (name TEXT, at REAL)")
        connection.execute("INSERT INTO marks VALUES ('of another database', 1)")
    return other


# Removed


async def test_a_commit_into_a_removed_file_counts_as_failed_and_the_content_is_saved(
    store: Store, path: Path
) -> None:
    path.unlink()
    with pytest.raises(StoreUnavailable, match=f"{path} was removed .* saved as {path}.saved-"):
        await set_cursor(store, "lost")
    assert cursors(saved(path)) >= {"before"}
    assert stat.S_IMODE(saved(path).stat().st_mode) == 0o600
    assert not must_end(store), "its memory is the only copy"


async def test_nothing_more_is_committed_to_a_removed_file(store: Store, path: Path) -> None:
    path.unlink()
    for name in ("first", "second"):
        with pytest.raises(StoreUnavailable):
            await set_cursor(store, name)
        with pytest.raises(StoreUnavailable):
            await store.cursor(name)
    path.symlink_to(saved(path))
    assert "second" not in cursors(path)


async def test_the_saved_content_is_complete_once_it_is_moved_to_the_path(
    store: Store, path: Path
) -> None:
    await set_cursor(store, "last")
    path.unlink()
    with pytest.raises(StoreUnavailable):
        await store.cursor("last")
    saved(path).rename(path)
    with pytest.raises(StoreUnavailable, match="was replaced"):
        await store.cursor("last")
    assert must_end(store)
    await store.close()
    again = await open_store(path)
    assert await again.cursor("last") == 1.0
    await again.close()


async def test_a_file_that_is_moved_away_and_back_is_used_again(store: Store, path: Path) -> None:
    aside = path.with_name("aside.db")
    path.rename(aside)
    with pytest.raises(StoreUnavailable):
        await set_cursor(store, "meanwhile")
    aside.rename(path)
    with pytest.raises(StoreUnavailable):
        await store.cursor("before")
    assert must_end(store), "its log was removed with the saving"
    await store.close()
    assert cursors(path) >= {"before"}


async def test_a_failed_save_is_reported_and_the_same_file_is_accepted_again(
    store: Store, path: Path
) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    path.parent.rename(elsewhere)
    with pytest.raises(StoreUnavailable, match="could not be saved: put the same file back"):
        await set_cursor(store, "meanwhile")
    elsewhere.rename(path.parent)
    await set_cursor(store, "after")
    assert not must_end(store)
    assert cursors(path) >= {"before", "after"}


# Replaced


async def test_a_worker_ends_when_its_file_is_replaced_and_leaves_the_new_file_alone(
    store: Store, path: Path
) -> None:
    other = another_database(path)
    other.replace(path)
    with pytest.raises(StoreUnavailable, match=f"{path} was replaced"):
        await set_cursor(store, "lost")
    assert must_end(store)
    await store.close()
    assert cursors(path) == {"of another database"}
    assert cursors(saved(path)) >= {"before"}


async def test_a_log_beside_the_new_file_is_not_removed(store: Store, path: Path) -> None:
    log = path.with_name("state.db-wal")
    log.unlink()
    another_database(path).replace(path)
    log.write_bytes(b"the log of the new database")
    with pytest.raises(StoreUnavailable):
        await store.cursor("before")
    await store.close()
    assert log.read_bytes() == b"the log of the new database"


async def test_a_link_that_leads_to_another_file_ends_the_worker_and_changes_neither(
    path: Path,
) -> None:
    link, other = path.with_name("link.db"), another_database(path)
    link.symlink_to(path)
    store = await open_store(link)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(StoreUnavailable, match=f"{link} was removed or replaced"):
        await store.cursor("before")
    assert must_end(store)
    await store.close()
    assert cursors(other) == {"of another database"}
    assert cursors(path) >= {"before"}
    assert not list(path.parent.glob("*.saved-*"))


@pytest.mark.parametrize("suffix", ["-wal", "-shm", ".lock"])
@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_worker_ends_and_loses_nothing_when_a_file_beside_its_database_is_lost(
    store: Store, path: Path, suffix: str, is_replaced: bool
) -> None:
    beside = path.with_name(path.name + suffix)
    beside.unlink()
    if is_replaced:
        beside.touch()
    with pytest.raises(StoreUnavailable, match=f"{beside} was removed or replaced"):
        await set_cursor(store, "last")
    assert must_end(store)
    await store.close()
    assert cursors(path) >= {"before", "last"}


# Readiness


async def test_readiness_fails_on_a_read_only_volume_until_it_is_writable_again(
    store: Store, path: Path
) -> None:
    elector = LeaderElector(store, owner="me", lease_seconds=15, now=store.now)
    assert elector.cannot_write_reason() == "nothing was written yet"
    await elector.try_acquire()
    assert elector.cannot_write_reason() is None
    set_query_only(store, "on")  # as on a read-only volume
    await elector.try_acquire()
    assert "readonly" in (elector.cannot_write_reason() or "")
    set_query_only(store, "off")
    await elector.try_acquire()
    assert elector.cannot_write_reason() is None


async def test_readiness_fails_when_no_write_was_committed_for_some_seconds(store: Store) -> None:
    now = [100.0]
    elector = LeaderElector(
        store, owner="me", lease_seconds=15, now=store.now, ticks=lambda: now[0]
    )
    await elector.try_acquire()
    now[0] += 14.0
    assert elector.cannot_write_reason() is None
    now[0] += 2.0
    assert elector.cannot_write_reason() == "no commit for 16 s"


async def test_a_path_that_cannot_be_looked_at_is_an_error_that_passes(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.stat

    def denied(name: str, **options: object) -> os.stat_result:
        if str(name).startswith(str(path)):
            raise PermissionError(13, "Permission denied")
        return look(name)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", denied)
        with pytest.raises(StoreUnavailable, match="cannot be looked at: Permission denied"):
            await set_cursor(store, "meanwhile")
    await set_cursor(store, "after")
    assert not must_end(store)


def set_query_only(store: Store, value: str) -> None:
    with store._group._runner._engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA query_only = {value}")


async def test_a_relative_path_in_a_removed_folder_is_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(StoreUnavailable, match=r"state.db is relative to the working directory"):
        await Store.open("sqlite:///state.db", source="test")


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe"])
async def test_a_path_that_is_no_file_is_refused_and_keeps_its_mode(
    tmp_path: Path, kind: str
) -> None:
    """As root, a worker could otherwise take `/dev/null` away from all programs."""
    path = other = tmp_path / "state.db"
    if kind == "folder":
        path.mkdir(mode=0o755)
    else:
        other = tmp_path / "pipe" if kind == "link to a pipe" else path
        os.mkfifo(other)
        if other != path:
            path.symlink_to(other)
    other.chmod(0o666)
    with pytest.raises(StoreUnavailable, match="is not a file"):
        await Store.open(f"sqlite:///{path}", source="test")
    assert other.stat().st_mode & 0o777 == 0o666
    make_private(str(path))
    assert other.stat().st_mode & 0o777 == 0o666


async def test_a_file_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """As root, a worker could otherwise take `/etc/passwd` away from all other users."""
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n")
    path.chmod(0o644)
    with pytest.raises(StoreUnavailable, match=f"^{path} is not a database"):
        await Store.open(f"sqlite:///{path}", source="test")
    make_private(str(path))
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


async def test_a_path_that_cannot_be_looked_at_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(StoreUnavailable, match=f"^{path}.lock cannot be written: File name too "):
        await Store.open(f"sqlite:///{path}", source="test")


async def test_a_missing_folder_is_named_and_not_created(tmp_path: Path) -> None:
    folder = tmp_path / "not-mounted"
    with pytest.raises(StoreUnavailable, match=f"^the folder {folder} does not exist$"):
        await Store.open(f"sqlite:///{folder / 'state.db'}", source="test")
    assert not folder.exists()
