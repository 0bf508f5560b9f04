"""The queue of the archive in the store: each file is copied by one replica, and announced once."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
import sqlalchemy as sa

from recording_schemas import ErrorInfo, ObservedBy, Status
from tests.contract.store.test_pruning import NOW, observation, prune, send_all
from worker.domain.archive import REFUSALS_BEFORE_EVENT, CopiedFile
from worker.domain.snapshot import Participant, Storage
from worker.domain.track_files import TrackFile
from worker.store.archive_leases import Extension
from worker.store.archive_manifests import ManifestPostponement, ManifestTask
from worker.store.archive_queue import (
    MAX_NEWEST,
    FileTask,
    Postponement,
    TakeRequest,
    encoded,
)
from worker.store.archive_results import CopyFailure, CopyResult, ManifestResult
from worker.store.archive_urls import SignedUrls
from worker.store.clock_repair import Repair
from worker.store.database.archive_schema import (
    archive_files,
    archive_recordings,
    archive_timeline,
)
from worker.store.late_adoption import LateAdoption
from worker.store.observations import WebhookObservation
from worker.store.store import Store

START: Final = NOW.timestamp()
LEASE: Final = 60.0
DAY: Final = timedelta(days=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, source="test", archives=True)
    yield opened
    await opened.close()


def track(name: str, *, url: str | None = "") -> TrackFile:
    download_url = f"https://files.example/{name}" if url == "" else url
    return TrackFile(
        file_name=f"{name}.webm", media_kind="audio", user_id="u", download_url=download_url
    )


async def end(
    store: Store,
    name: str,
    *files: str | TrackFile,
    at: Any = NOW,
    life: timedelta | None = 7 * DAY,
    storage: Storage | None = None,
    by: ObservedBy = "sweep",
    **more: Any,
) -> None:
    """The recording has ended with these files.

    Their URLs expire after `life`; None: the API does not say when. `storage` is the customer's
    storage that holds them.
    """
    listed = tuple(track(file) if isinstance(file, str) else file for file in files)
    upload = observation(name, Status.UPLOADED, at=at, files=listed, files_final=True, **more)
    expiry = None if life is None else at + life
    snapshot = msgspec.structs.replace(
        upload.snapshot,
        download_url_expiry=expiry,
        storage=storage,
        kind="composite" if storage else "track",
    )
    await store.apply([msgspec.structs.replace(upload, snapshot=snapshot, observed_by=by)])


async def take(
    store: Store,
    limit: int = 10,
    *,
    owner: str = "me",
    at: float = START,
    untried_first: bool = False,
) -> tuple[FileTask, ...]:
    request = TakeRequest(
        owner=owner, now=at, until=at + LEASE, limit=limit, untried_first=untried_first
    )
    return await store.archive.take_files(request)


async def take_manifests(
    store: Store, *, owner: str = "me", at: float = START
) -> tuple[ManifestTask, ...]:
    request = TakeRequest(owner=owner, now=at, until=at + LEASE, limit=10)
    return await store.archive.take_manifests(request)


def copied(task: FileTask) -> CopiedFile:
    return CopiedFile(
        archive_url=f"file:///archive/{task.file.file_name}",
        size_bytes=7,
        sha256="0" * 64,
        content_type="audio/webm",
    )


async def done(store: Store, task: FileTask, *, owner: str = "me", at: float = START) -> bool:
    result = CopyResult(
        recording_id=task.recording_id,
        file_index=task.file_index,
        round=task.round,
        owner=owner,
        copied=copied(task),
        now=at,
    )
    return await store.archive.copy_done(result)


async def failed(
    store: Store, task: FileTask, *, due_at: float | None = None, refusals: int = 0
) -> bool:
    failure = CopyFailure(
        recording_id=task.recording_id,
        file_index=task.file_index,
        round=task.round,
        owner="me",
        error=ErrorInfo(code="url_expired", message="gone"),
        now=START,
        due_at=due_at,
        refusals=refusals,
    )
    return await store.archive.copy_failed(failure)


async def postpone(store: Store, task: FileTask, *, due_at: float) -> None:
    request = Postponement(
        recording_id=task.recording_id,
        file_index=task.file_index,
        round=task.round,
        owner="me",
        due_at=due_at,
        error=encoded("source_unavailable", "no answer"),
    )
    assert await store.archive.postpone_file(request)


async def finish_manifest(
    store: Store, task: ManifestTask, *, owner: str = "me", at: float = START
) -> bool:
    result = ManifestResult(
        recording_id=task.recording_id,
        owner=owner,
        changes=task.changes,
        manifest_url="file:///archive/manifest.json",
        copies=(),
        now=at,
    )
    return await store.archive.manifest_done(result)


async def events(store: Store, kind: str = "archive") -> list[dict[str, Any]]:
    """The unsent events whose type has this word, in their order."""
    bodies = [msgspec.json.decode(event.body) for event in await store.unsent(1000)]
    return [body for body in bodies if kind in body["type"]]


def names(tasks: Sequence[FileTask]) -> list[str]:
    return [task.file.file_name.removesuffix(".webm") for task in tasks]


@pytest.mark.parametrize("by_webhook", [True, False])
async def test_files_are_queued_whether_a_webhook_or_a_late_adoption_shows_them(
    store: Store, by_webhook: bool
) -> None:
    ended = observation("r1", Status.UPLOADED, files=(track("a"),), files_final=True)
    if by_webhook:
        await store.apply([observation("r1")])
        await store.apply_webhook(WebhookObservation(observation=ended))
    else:
        await store.apply([msgspec.structs.replace(ended, awaits_start=True)])
        await store.adopt_deferred(LateAdoption(app="default", now=START))
    assert names(await take(store)) == ["a"]


def count(engine: sa.Engine, table: sa.Table) -> int:
    with engine.begin() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


# Queued tasks


async def test_every_announced_file_is_queued_with_its_url_and_its_owner(store: Store) -> None:
    await end(store, "r1", "a", "b")
    tasks = await take(store)
    assert names(tasks) == ["a", "b"]
    assert [task.download_url for task in tasks] == [
        "https://files.example/a",
        "https://files.example/b",
    ]
    assert {task.file.user_id for task in tasks} == {"u"}
    assert {task.file.download_url for task in tasks} == {None}


async def test_files_of_an_id_that_two_apps_report_are_archived_once_for_the_first_app(
    store: Store,
) -> None:
    await end(store, "r1", "a", app="one")
    await end(store, "r1", "a", "b", app="two")
    tasks = await take(store)
    assert names(tasks) == ["a", "b"]
    assert {task.app for task in tasks} == {"one"}
    assert [await done(store, task) for task in tasks] == [True, True]
    assert len(await take_manifests(store)) == 1


async def test_without_an_archive_nothing_is_written_for_it(
    database_url: str, engine: sa.Engine
) -> None:
    store = await Store.open(database_url, source="test")
    await end(store, "r1", "a")
    assert await take(store) == ()
    await store.close()
    tables = (archive_files, archive_recordings, archive_timeline)
    assert [count(engine, table) for table in tables] == [0, 0, 0]


async def test_the_archive_keeps_every_status_and_who_was_in_the_session(store: Store) -> None:
    people = (Participant(peer_id="p", user_id="u"),)
    await store.apply([observation("r1", Status.INVOKED)])
    await store.apply([observation("r1", Status.RECORDING, at=NOW + timedelta(seconds=5))])
    await end(store, "r1", "a", at=NOW + timedelta(seconds=9), participants=people)
    archive = await store.archive.read("r1")
    assert archive is not None
    assert [entry.status for entry in archive.timeline] == ["INVOKED", "RECORDING", "UPLOADED"]
    assert archive.participants == people
    assert [file.state for file in archive.files] == ["queued"]


# Who copies


async def test_a_file_is_taken_by_one_owner_until_its_lease_ends(store: Store) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    assert await take(store, owner="other", at=START + LEASE - 1) == ()
    await store.archive.extend(
        Extension(owner="me", until=START + 2 * LEASE, files=(("r1", task.file_index),))
    )
    assert await take(store, owner="other", at=START + LEASE + 1) == ()
    (again,) = await take(store, owner="other", at=START + 2 * LEASE)
    assert again.attempts == 2


async def test_the_failure_of_an_owner_that_lost_the_file_counts_for_nothing(store: Store) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    await take(store, owner="other", at=START + LEASE)
    assert not await failed(store, task)
    assert await done(store, task, owner="other")
    assert len(await events(store)) == 1


async def test_work_that_an_owner_returns_is_due_at_once(store: Store) -> None:
    await end(store, "r1", "a", "b")
    await take(store, 1)
    await take(store, 1, owner="other")
    await store.archive.free_owned("me")
    assert names(await take(store, owner="third")) == ["a"]


async def test_the_nearest_expiry_is_first_once_a_third_of_its_time_has_passed(
    store: Store,
) -> None:
    await end(store, "patient", "patient", life=9 * DAY)
    await end(store, "late", "late", life=3 * DAY)
    await end(store, "soon", "soon", life=2 * DAY)
    later = START + DAY.total_seconds()
    assert names(await take(store, at=later)) == ["soon", "late", "patient"]


async def test_untried_files_go_first_if_requested(store: Store) -> None:
    await end(store, "soon", "soon", "tried", life=2 * DAY)
    later = START + DAY.total_seconds()
    assert names(await take(store, at=later)) == ["soon", "tried"]
    await end(store, "r1", "new", "newer", at=NOW + DAY)
    again = later + LEASE
    assert names(await take(store, 1, at=again, untried_first=True)) == ["new"]
    assert names(await take(store, 2, at=again, untried_first=True)) == ["newer", "soon"]
    assert names(await take(store, at=again)) == ["tried"]


async def test_a_file_that_was_tried_and_is_due_longer_is_not_taken_for_an_untried_one(
    store: Store,
) -> None:
    await end(store, "r1", "tried")
    (task,) = await take(store)
    await postpone(store, task, due_at=START + 1.0)
    await end(store, "r2", "new", at=NOW + timedelta(seconds=2))
    assert names(await take(store, 1, at=START + 3.0, untried_first=True)) == ["new"]


async def test_a_file_that_is_not_urgent_is_tried_although_urgent_ones_always_fail(
    store: Store,
) -> None:
    await end(store, "urgent", "u1", "u2", life=timedelta(seconds=3))
    await end(store, "patient", "p")
    at = START + 2.0
    for task in await take(store, at=at):
        await postpone(store, task, due_at=at + 1.0 + (task.recording_id == "urgent"))
    assert names(await take(store, 1, at=at + 5.0, untried_first=True)) == ["p"]
    assert names(await take(store, 1, at=at + 5.0)) == ["u1"]


async def test_an_untried_file_behind_more_tried_ones_than_are_looked_at_is_taken_in_its_turn(
    store: Store,
) -> None:
    await end(store, "r1", *(f"f{number}" for number in range(MAX_NEWEST + 1)))
    for task in await take(store, MAX_NEWEST):
        await postpone(store, task, due_at=START + 1.0)
    (oldest,) = await take(store, 1, at=START + 2.0, untried_first=True)
    assert oldest.attempts == 1


async def test_a_file_that_waits_for_its_next_attempt_keeps_no_other_waiting(store: Store) -> None:
    await end(store, "r1", "a", "b", life=timedelta(hours=1))
    (first,) = await take(store, 1)
    await postpone(store, first, due_at=START + 300.0)
    assert await store.archive.next_due() == START
    assert names(await take(store)) == ["b"]
    assert names(await take(store, at=START + 300.0)) == ["b", "a"]


# Events


async def test_a_copy_is_announced_once_behind_the_events_before_it(store: Store) -> None:
    await end(store, "r1", "a")
    before = await events(store, "recording")
    (task,) = await take(store)
    assert await done(store, task)
    assert not await done(store, task)
    (event,) = await events(store)
    assert event["type"] == "recording.file_archived.v1"
    assert int(event["sequence"]) == int(before[-1]["sequence"]) + 1
    assert event["data"]["sha256"] == "0" * 64
    assert await take(store, at=START + 1000) == ()


async def test_the_url_is_forgotten_when_the_file_is_copied_or_given_up(
    store: Store, engine: sa.Engine
) -> None:
    await end(store, "r1", "a", "b")
    first, second = await take(store)
    await done(store, first)
    await failed(store, second)
    with engine.begin() as connection:
        urls = connection.execute(sa.select(archive_files.c.download_url)).scalars().all()
    assert urls == [None, None]


async def test_the_manifest_is_due_after_the_last_file_of_a_complete_recording(
    store: Store,
) -> None:
    await end(store, "r1", "a", "b")
    first, second = await take(store)
    await done(store, first)
    assert await take_manifests(store) == ()
    await done(store, second)
    (manifest,) = await take_manifests(store)
    assert await take_manifests(store, owner="other") == ()
    assert await finish_manifest(store, manifest)
    types = [event["type"] for event in await events(store)]
    assert types == ["recording.file_archived.v1"] * 2 + ["recording.archived.v1"]


async def test_a_manifest_is_written_once_more_if_a_file_was_added_meanwhile(store: Store) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    (manifest,) = await take_manifests(store)
    await end(store, "r1", "a", "late")
    await done(store, (await take(store))[0])
    assert not await finish_manifest(store, manifest)
    (again,) = await take_manifests(store)
    assert await finish_manifest(store, again)
    assert [event["type"] for event in await events(store)].count("recording.archived.v1") == 1


async def test_nobody_else_writes_a_manifest_while_its_owner_writes_an_older_one(
    store: Store,
) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    (older,) = await take_manifests(store)
    await end(store, "r1", "a", "late")
    await done(store, (await take(store))[0])
    assert await take_manifests(store, owner="other") == ()
    assert not await finish_manifest(store, older)
    assert len(await take_manifests(store, owner="other")) == 1


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_manifest_is_written_again_if_an_owner_that_lost_it_wrote_an_older_one_later(
    is_done: bool, store: Store
) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    (older,) = await take_manifests(store)
    await end(store, "r1", "a", "late")
    await done(store, (await take(store))[0])
    (newer,) = await take_manifests(store, owner="other", at=START + LEASE)
    if is_done:
        assert await finish_manifest(store, newer, owner="other")
    assert not await finish_manifest(store, older)
    if not is_done:
        assert not await finish_manifest(store, newer, owner="other")
    (again,) = await take_manifests(store, owner="other", at=START + LEASE)
    assert await finish_manifest(store, again, owner="other")
    assert await take_manifests(store, at=START + 10 * LEASE) == ()


async def test_a_recording_that_completes_without_files_has_a_manifest(store: Store) -> None:
    await store.apply([observation("r1", Status.ERRORED, files=())])
    (manifest,) = await take_manifests(store)
    assert await finish_manifest(store, manifest)


@pytest.mark.parametrize("text", ["{}", "no json", '{"kind": "of a newer version"}'])
async def test_a_file_that_this_version_cannot_read_keeps_no_other_waiting(
    text: str, store: Store, engine: sa.Engine
) -> None:
    await end(store, "r1", "a")
    await end(store, "r2", "b")
    with engine.begin() as connection:
        connection.execute(
            sa.update(archive_files).where(archive_files.c.recording_id == "r1").values(file=text)
        )
    assert names(await take(store, 10)) == ["b"]
    assert await take(store, 10) == ()
    assert (await store.archive.depth()).queued == 2


async def test_a_file_in_the_customers_storage_is_not_copied(store: Store) -> None:
    ended = observation("r1", Status.UPLOADED, files=(track("a", url=None),), files_final=True)
    storage = Storage(type="aws", bucket="theirs", path="recordings/a.webm")
    snapshot = msgspec.structs.replace(ended.snapshot, kind="composite", storage=storage)
    await store.apply([msgspec.structs.replace(ended, snapshot=snapshot)])
    assert await take(store) == ()
    (manifest,) = await take_manifests(store)
    archive = await store.archive.read(manifest.recording_id)
    assert archive is not None
    assert [file.state for file in archive.files] == ["external"]


async def test_a_file_that_is_given_up_is_reported_as_final_and_does_not_block_the_manifest(
    store: Store,
) -> None:
    await end(store, "r1", "a")
    await failed(store, (await take(store))[0])
    (event,) = await events(store)
    assert event["data"]["final"] is True
    assert event["data"]["attempts"] == 1
    assert len(await take_manifests(store)) == 1
    depth = await store.archive.depth()
    assert (depth.queued, depth.failed) == (0, 1)


async def test_a_refused_file_stays_queued(store: Store) -> None:
    await end(store, "r1", "a")
    await failed(store, (await take(store))[0], due_at=START + 60.0, refusals=5)
    (event,) = await events(store)
    assert event["data"]["final"] is False
    depth = await store.archive.depth()
    assert (depth.queued, depth.refused, depth.failed) == (1, 1, 0)
    assert await take_manifests(store) == ()
    (task,) = await take(store, at=START + 60.0)
    assert task.refusals == 5


# New URLs, and copies again


async def later(store: Store, round: int = 1) -> None:  # noqa: A002 - as the column
    """The file of `r1` is tried again in five minutes."""
    await store.archive.postpone_file(
        Postponement(
            recording_id="r1",
            file_index=1,
            round=round,
            owner="me",
            due_at=START + 300,
            error=encoded("x", ""),
        )
    )


async def test_a_manifest_that_the_storage_refuses_is_counted_until_it_is_written(
    store: Store,
) -> None:
    await store.apply([observation("r1", Status.ERRORED, files=())])
    for attempt in range(1, REFUSALS_BEFORE_EVENT + 1):
        (task,) = await take_manifests(store)
        assert task.attempts == attempt
        error = encoded("storage_refused", "no")
        await store.archive.postpone_manifest(
            ManifestPostponement(recording_id="r1", owner="me", due_at=START, error=error)
        )
        assert (await store.archive.depth()).refused == (attempt == REFUSALS_BEFORE_EVENT)
    (task,) = await take_manifests(store)
    assert task.was_refused
    assert await finish_manifest(store, task)
    assert (await store.archive.depth()).refused == 0


async def test_a_file_with_a_requested_new_url_is_due_at_once(store: Store) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    await later(store)
    renewed = track("a", url="https://files.example/a?again")
    await end(store, "r1", renewed, life=9 * DAY, by="command", renews_urls=True)
    (again,) = await take(store)
    assert again.download_url == "https://files.example/a?again"
    assert again.expires_at > task.expires_at


@pytest.mark.parametrize(("life", "due"), [(DAY, ()), (-DAY, ("a",))])
async def test_a_url_that_the_archive_asked_for_wakes_a_waiting_file_only_if_the_old_one_expired(
    life: timedelta, due: tuple[str, ...], store: Store
) -> None:
    await end(store, "r1", "a", life=life)
    await take(store)
    await later(store)
    renewed = track("a", url="https://files.example/a?again")
    await end(store, "r1", renewed, life=9 * DAY, renews_urls=True)
    assert tuple(names(await take(store))) == due
    (task,) = await take(store, at=START + 300 + LEASE)
    assert task.download_url == "https://files.example/a?again"


@pytest.mark.parametrize(("after", "first"), [(3599, "longer"), (3601, "a")])
async def test_a_url_without_an_event_makes_a_file_urgent_after_a_third_of_its_time(
    store: Store, after: int, first: str
) -> None:
    await end(store, "longer", "longer", life=6 * DAY, at=NOW - timedelta(minutes=1))
    await end(store, "r1", "a", life=7 * DAY)
    short = track("a", url="https://files.example/a?short")
    await end(store, "r1", short, life=timedelta(hours=3), renews_urls=True)
    assert names(await take(store, 1, at=START + after)) == [first]


async def test_a_url_without_an_event_makes_an_urgent_file_no_less_urgent(store: Store) -> None:
    await end(store, "longer", "longer", life=9 * DAY, at=NOW - timedelta(minutes=1))
    await end(store, "r1", "a", life=3 * DAY)
    again = track("a", url="https://files.example/a?again")
    at = NOW + 2 * DAY
    await end(store, "r1", again, life=timedelta(hours=9), at=at, renews_urls=True)
    assert names(await take(store, 1, at=at.timestamp() + 60)) == ["a"]


@pytest.mark.parametrize(("after", "first"), [(3599, "longer"), (3601, "a")])
async def test_a_url_of_which_the_api_shows_no_owner_makes_a_file_urgent_in_time(
    store: Store, after: int, first: str
) -> None:
    await end(store, "longer", "longer", life=6 * DAY, at=NOW - timedelta(minutes=1))
    await end(store, "r1", "a", life=7 * DAY)
    urls = {"a.webm": "https://files.example/a?short"}
    expires_at = START + 3 * 3600
    await store.archive.note_urls(
        SignedUrls(recording_id="r1", urls=urls, expires_at=expires_at, now=START)
    )
    assert names(await take(store, 1, at=START + after)) == [first]


async def test_archived_again_means_new_events_with_new_ids(store: Store) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    await end(store, "r1", "a", archives_again=True)
    (task,) = await take(store)
    assert task.round == 2
    await done(store, task)
    first, second = await events(store)
    assert first["id"] != second["id"]
    assert len(await take_manifests(store)) == 1


async def give_back(store: Store, task: FileTask) -> None:
    await later(store, task.round)


async def refuse(store: Store, task: FileTask) -> None:
    await failed(store, task, due_at=START + 300, refusals=REFUSALS_BEFORE_EVENT)


@pytest.mark.parametrize("requeued", [1, 3])
@pytest.mark.parametrize(
    ("end_of_copy", "published"), [(done, 1), (failed, 0), (refuse, 0), (give_back, 0)]
)
async def test_a_file_that_is_queued_again_during_its_copy_is_copied_once_more_by_one_replica(
    store: Store, end_of_copy: Callable[[Store, FileTask], Any], published: int, requeued: int
) -> None:
    await end(store, "r1", "a")
    (task,) = await take(store)
    for _ in range(requeued):
        await end(store, "r1", "a", archives_again=True)
    assert await take(store, owner="other") == ()
    await end_of_copy(store, task)
    assert [event["type"] for event in await events(store)] == [
        "recording.file_archived.v1"
    ] * published
    assert await take_manifests(store) == ()
    (again,) = await take(store)
    assert (again.attempts, again.refusals, again.denials) == (1, 0, 0)
    assert again.download_url
    assert await done(store, again)
    assert [event["type"] for event in await events(store)] == ["recording.file_archived.v1"] * (
        published + 1
    )
    assert await take(store, at=START + 1000) == ()
    assert len(await take_manifests(store)) == 1


async def test_a_file_that_is_queued_again_after_its_owner_died_waits_for_the_end_of_the_lease(
    store: Store,
) -> None:
    await end(store, "r1", "a")
    await take(store)
    await end(store, "r1", "a", archives_again=True)
    assert await take(store, owner="other", at=START + LEASE - 1) == ()
    (task,) = await take(store, owner="other", at=START + LEASE)
    assert await done(store, task, owner="other")
    assert len(await events(store)) == 1


async def test_an_earlier_copy_counts_if_the_file_cannot_be_copied_again(store: Store) -> None:
    await end(store, "r1", "a")
    await done(store, (await take(store))[0])
    await end(store, "r1", "a", archives_again=True)
    await failed(store, (await take(store))[0])
    archive = await store.archive.read("r1")
    assert archive is not None
    assert [file.state for file in archive.files] == ["archived"]


async def test_files_from_before_the_archive_can_be_archived(database_url: str) -> None:
    before = await Store.open(database_url, source="test")
    await end(before, "r1", "a")
    await before.close()
    store = await Store.open(database_url, source="test", archives=True)
    await end(store, "r1", "a", archives_again=True)
    await done(store, (await take(store))[0])
    assert len(await take_manifests(store)) == 1
    await store.close()


async def test_a_pause_of_a_clock_that_was_far_ahead_ends_when_it_is_set_right(
    store: Store,
) -> None:
    await end(store, "r1", "a")
    ahead = START + 30 * DAY.total_seconds()
    await take(store, at=ahead)
    repair = Repair(now=START, read_ahead=DAY.total_seconds())
    await store.correct_times(repair)
    assert names(await take(store, owner="other")) == ["a"]
    await store.correct_times(repair)
    assert await take(store, owner="third") == ()


# Pruning


async def test_a_recording_is_kept_until_its_archive_is_done(
    store: Store, engine: sa.Engine
) -> None:
    long_ago = NOW - 40 * DAY
    await end(store, "waiting", "a", at=long_ago)
    await end(store, "copied", "b", at=long_ago)
    by_name = {task.recording_id: task for task in await take(store)}
    await done(store, by_name["copied"])
    await finish_manifest(store, (await take_manifests(store))[0])
    await send_all(store, START - 40 * DAY.total_seconds())
    await prune(store)
    assert await store.archive.read("copied") is None
    assert await store.archive.read("waiting") is not None
    tables = (archive_files, archive_recordings, archive_timeline)
    assert [count(engine, table) for table in tables] == [1, 1, 1]


@pytest.mark.parametrize(
    ("life", "tried_at", "is_kept"),
    [
        (7 * DAY, -40 * DAY, False),
        (20 * DAY, -40 * DAY, True),  # it expired less than the retention ago
        (50 * DAY, -40 * DAY, True),
        (7 * DAY, -1 * DAY, True),  # a replica with the archive still tries it
    ],
)
async def test_when_the_archive_was_switched_off_a_recording_is_kept_while_a_file_can_be_copied(
    life: timedelta, tried_at: timedelta, is_kept: bool, database_url: str, engine: sa.Engine
) -> None:
    long_ago = NOW - 40 * DAY
    on = await Store.open(database_url, source="test", archives=True)
    await end(on, "waiting", "a", "b", at=long_ago, life=life)
    await take(on, 1, at=START + tried_at.total_seconds())
    await send_all(on, long_ago.timestamp())
    await on.close()
    off = await Store.open(database_url, source="test")
    with engine.begin() as connection:  # opening an SQLite file releases claims
        connection.execute(
            sa.update(archive_files)
            .where(archive_files.c.file_index == 1)
            .values(due_at=START + tried_at.total_seconds())
        )
    await prune(off)
    kept = await off.archive.read("waiting")
    await off.close()
    assert (kept is not None) is is_kept
    tables = (archive_files, archive_recordings, archive_timeline)
    assert [count(engine, table) for table in tables] == ([2, 1, 1] if is_kept else [0, 0, 0])


@pytest.mark.parametrize("archives", [True, False])
async def test_an_unwritten_manifest_keeps_a_recording_only_while_the_archive_is_on(
    archives: bool, database_url: str
) -> None:
    on = await Store.open(database_url, source="test", archives=True)
    await on.apply([observation("r1", Status.ERRORED, at=NOW - 40 * DAY, files=())])
    await send_all(on, START - 40 * DAY.total_seconds())
    await on.close()
    store = await Store.open(database_url, source="test", archives=archives)
    await prune(store)
    kept = await store.archive.read("r1")
    await store.close()
    assert (kept is not None) is archives
