"""Pruning deletes old rows of ended work, and never rows that are still needed."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import ErrorInfo, Status
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.claims import ClaimRequest
from worker.store.cursors import Cursor
from worker.store.database.schema import files, inbox, outbox, recordings
from worker.store.finishing import FinishRequest
from worker.store.outbox_marks import PageMarks
from worker.store.pruner import Pruner, Retention
from worker.store.pruning import MAX_RECORDINGS
from worker.store.read_schedule import ScheduledRead
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW: Final = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
DAY: Final = 86_400.0
OLD: Final = NOW.timestamp() - 40 * DAY
KEEP: Final = Retention(sent_seconds=DAY, finished_seconds=30 * DAY)


def claim(command_id: str, **more: Any) -> ClaimRequest:
    return claim_request(command_id, **({"now": NOW.timestamp()} | more))


def finish(command_id: str, *observations: Observation, at: datetime = NOW) -> FinishRequest:
    return success_of(command_id, *observations, at=at, command_type="x", recording_ids=())


def observation(
    recording_id: str,
    status: Status = Status.RECORDING,
    *,
    start_id: str | None = None,
    at: datetime = NOW,
    **more: Any,
) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=status, kind="track", meeting_id="m"
    )
    origin = StartContext(start_id=start_id) if start_id else None
    return observation_of(snapshot, at, start=origin, **more)


async def record(store: Store, name: str, *, at: datetime, ended: bool = True) -> None:
    """The start `start-<name>` and its recording `name`, with a file when it has `ended`."""
    start = f"start-{name}"
    await store.claim(claim(start, slot=f"{name}/track", now=at.timestamp()))
    await store.finish(finish(start, observation(name, start_id=start, at=at), at=at))
    if ended:
        file = TrackFile(
            file_name=f"{name}.webm", media_kind="audio", user_id="u", download_url="u"
        )
        await store.apply([observation(name, Status.UPLOADED, at=at, files=(file,))])


async def send_all(store: Store, at: float) -> None:
    await store.mark_page(
        PageMarks(sent=[event.position for event in await store.unsent(1000)]), at
    )


def rows(engine: sa.Engine, column: sa.Column[Any]) -> list[Any]:
    with engine.begin() as connection:
        return sorted(connection.execute(sa.select(column)).scalars())


async def prune(store: Store, keep: Retention = KEEP) -> None:
    await store.set_cursor(Cursor(name="prune/last", at=NOW.timestamp() - 60.0))
    await Pruner(store, keep, now=NOW.timestamp).prune_once(lambda: True)


LONG_AGO: Final = NOW - timedelta(days=40)


# Deleted rows, and rows that are never deleted


async def test_sent_events_are_pruned_by_age_and_unsent_ones_never(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation(f"r{number:03}") for number in range(700)])
    waiting = await store.unsent(1000)
    sent, stuck = waiting[::2], waiting[1::2]
    await store.mark_page(
        PageMarks(sent=[event.position for event in sent[:-1]]), NOW.timestamp() - 2 * DAY
    )
    await store.mark_page(PageMarks(sent=[sent[-1].position]), NOW.timestamp() - DAY / 2)
    await prune(store)
    kept = [event.position for event in (*stuck, sent[-1])]
    assert rows(engine, outbox.c.position) == sorted(kept)
    assert [event.position for event in await store.unsent(1000)] == [
        event.position for event in stuck
    ]


async def test_a_finished_recording_is_pruned_with_its_files_and_then_its_start(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "old", at=LONG_AGO)
    await record(store, "new", at=NOW)
    await prune(store)
    assert rows(engine, recordings.c.recording_id) == ["new"]
    assert rows(engine, files.c.recording_id) == ["new"]
    assert rows(engine, inbox.c.command_id) == ["start-new"]
    assert len(await store.unsent(100)) == 10, "what no broker confirmed stays"


async def test_an_open_recording_and_its_start_are_not_pruned(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "long", at=LONG_AGO, ended=False)
    await store.apply([observation("files", Status.UPLOADED, at=LONG_AGO)])
    await prune(store)
    assert rows(engine, recordings.c.recording_id) == ["files", "long"]
    assert rows(engine, inbox.c.command_id) == ["start-long"]
    claimed = await store.claim(claim("stop", slot=None, start_id="start-long"))
    assert (
        claimed.start_state,
        [recording.recording_id for recording in claimed.known_recordings],
    ) == (
        "done",
        ["long"],
    )


async def test_rows_that_must_stay_do_not_keep_younger_ones_from_being_pruned(
    store: Store, engine: sa.Engine
) -> None:
    waiting = [f"waits-{number:03}" for number in range(2 * MAX_RECORDINGS + 1)]
    ended: dict[str, Any] = {"status": Status.ERRORED, "at": LONG_AGO, "files": ()}
    await store.apply([observation(name, **ended) for name in waiting])
    await store.schedule_read(ScheduledRead(ids=waiting, at=NOW.timestamp(), postpone=True))
    later = LONG_AGO + timedelta(hours=1)
    await store.apply(
        [observation(f"over-{number}", Status.ERRORED, at=later, files=()) for number in range(3)]
    )
    await prune(store)
    assert rows(engine, recordings.c.recording_id) == waiting


async def test_an_ended_recording_with_a_scheduled_read_is_not_pruned(
    store: Store, engine: sa.Engine
) -> None:
    in_a_minute = NOW + timedelta(minutes=1)
    stalled = ErrorInfo(code="stalled", message="still RECORDING after 90000 s")
    await store.apply([observation("given up", at=LONG_AGO)])
    conclusion = observation(
        "given up", Status.ERRORED, at=LONG_AGO, timeout_error=stalled, files=()
    )
    await store.apply([msgspec.structs.replace(conclusion, read_again_at=in_a_minute)])
    await prune(store)
    assert rows(engine, recordings.c.recording_id) == ["given up"]
    await store.apply([observation("given up", Status.ERRORED, at=in_a_minute, files=())])
    await prune(store)
    assert rows(engine, recordings.c.recording_id) == []


async def test_a_start_is_recognised_as_long_as_its_recording_is_kept(store: Store) -> None:
    await record(store, "r", at=LONG_AGO, ended=False)
    await store.apply([observation("r", Status.ERRORED, at=NOW, files=())])
    await prune(store)
    assert (await store.claim(claim("start-r", slot="r/track"))).verdict == "done"


async def test_an_unfinished_command_is_never_pruned(store: Store, engine: sa.Engine) -> None:
    await store.claim(claim("running", now=OLD))
    await store.claim(claim("waiting", now=OLD))
    await store.release(ReleaseRequest(command_id="waiting", uncertain=False, last_error="{}"))
    await prune(store)
    assert rows(engine, inbox.c.command_id) == ["running", "waiting"]


async def test_a_replica_that_is_not_the_leader_prunes_nothing(
    store: Store, engine: sa.Engine
) -> None:
    await record(store, "old", at=LONG_AGO)
    await Pruner(store, KEEP, now=NOW.timestamp).prune_once(lambda: False)
    assert rows(engine, recordings.c.recording_id) == ["old"]


async def test_a_pruner_that_loses_the_leadership_stops_between_two_steps(
    store: Store, engine: sa.Engine
) -> None:
    await store.apply([observation(f"r{number}") for number in range(1000)])
    await send_all(store, OLD)
    await store.set_cursor(Cursor(name="prune/last", at=NOW.timestamp() - 60.0))
    leads = iter([True, True])
    await Pruner(store, KEEP, now=NOW.timestamp).prune_once(lambda: next(leads, False))
    assert len(rows(engine, outbox.c.position)) == 500
