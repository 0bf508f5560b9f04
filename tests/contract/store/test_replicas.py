"""One replica reads while another one commits."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from recording_sandbox.waiting import Eventually
from recording_schemas import ObservedBy, Status
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.store.database.direct import STATEMENT_WATCHERS
from worker.store.database.engine import open_engine
from worker.store.finishing import FinishRequest
from worker.store.observations import WebhookObservation
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def started() -> FinishRequest:
    snapshot = RecordingSnapshot(
        recording_id="r1", status=Status.INVOKED, kind="track", meeting_id="m1"
    )
    start = StartContext(start_id="start")
    return success_of("start", observation_of(snapshot, NOW, "command", start=start), at=NOW)


@pytest.mark.parametrize("reads_before", [0, 1], ids=["before-the-rows-are-read", "after-that"])
async def test_a_start_that_is_done_is_never_seen_without_its_recording(
    replicas: tuple[Store, Store], reads_before: int
) -> None:
    """The claim of a stop reads the start that it names before the recordings of that start."""
    starting, stopping = replicas
    await starting.claim(claim_request("start", "start_track_recording", slot="m1/track"))
    loop = asyncio.get_running_loop()
    claiming: set[int] = set()
    reads: list[str] = []
    ends: list[concurrent.futures.Future[Any]] = []

    def note_thread(_connection: sa.Connection, requests: Sequence[None]) -> Sequence[None]:
        claiming.add(threading.get_ident())
        return requests

    def end_in_between(statement: str, params: Any) -> None:
        if threading.get_ident() not in claiming or not is_about_the_start(statement, params):
            return
        reads.append(statement)
        if len(reads) == reads_before + 1:
            ends.append(asyncio.run_coroutine_threadsafe(starting.finish(started()), loop))
            concurrent.futures.wait(ends, timeout=1.0)  # it waits for the lock, if there is one

    def execute(_1: Any, _2: Any, statement: str, params: Any, *_3: Any) -> None:
        end_in_between(statement, params)

    await stopping._group.submit(note_thread, None)
    sa.event.listen(stopping._group._runner._engine, "after_cursor_execute", execute)
    stop = claim_request("stop", "stop_recording", start_id="start")
    STATEMENT_WATCHERS.append(end_in_between)
    claimed = await stopping.claim(stop)
    STATEMENT_WATCHERS.remove(end_in_between)
    assert claimed.start_state != "done" or claimed.known_recordings
    await asyncio.wrap_future(ends[0])
    claimed = await stopping.claim(stop)
    assert (claimed.start_state, len(claimed.known_recordings)) == ("done", 1)


def is_about_the_start(statement: str, params: Any) -> bool:
    values = dict(params or {}).values()
    return statement.startswith("SELECT") and any("start" in (value or ()) for value in values)


def observation(recording_id: str, status: Status, by: ObservedBy = "sweep") -> Observation:
    snapshot = RecordingSnapshot(recording_id=recording_id, status=status, kind="track")
    return observation_of(snapshot, NOW, by)


async def test_events_of_a_recording_are_not_read_past_an_event_that_is_committed_late(
    replicas: tuple[Store, Store], eventually: Eventually
) -> None:
    """Page by page, while a replica commits on a page that was read already."""
    slow, quick = replicas
    go_on, held_up = threading.Event(), threading.Event()

    def wait(statement: str, _values: Any) -> None:
        """Stop the first transaction when its event is written and not yet committed."""
        if statement.startswith("INSERT INTO recordings") and not held_up.is_set():
            held_up.set()
            go_on.wait(20)

    STATEMENT_WATCHERS.append(wait)
    late = asyncio.create_task(slow.apply([observation("late", Status.INVOKED)]))
    await eventually(held_up.is_set)
    await quick.apply([observation("one", Status.INVOKED), observation("other", Status.INVOKED)])
    page = await quick.unsent(2)
    assert [event.subject for event in page] == ["one", "other"]
    go_on.set()
    await late
    STATEMENT_WATCHERS.remove(wait)
    await quick.apply([observation("late", Status.RECORDING), observation("new", Status.INVOKED)])
    sent = PageMarks(sent=[event.position for event in page])
    behind = await quick.unsent(10, marks=sent, now=1.0)
    assert [event.subject for event in behind] == ["late", "late", "new"]
    assert [event.routing_key for event in behind[:2]] == ["track.invoked", "track.recording"]


async def test_observations_and_webhooks_of_two_replicas_do_not_deadlock(
    replicas: tuple[Store, Store], postgresql_url: str
) -> None:
    for number in range(20):
        recording_ids = f"{number}-one", f"{number}-other"
        await replicas[0].apply(
            [observation(recording_id, Status.INVOKED) for recording_id in recording_ids]
        )
        requests: list[Awaitable[object]] = []
        for replica, (observed, reported) in zip(
            replicas, (recording_ids, recording_ids[::-1]), strict=True
        ):
            requests += [
                replica.outbox_depth(),  # while that is committed, the others get in line
                replica.apply([observation(observed, Status.RECORDING)]),
                replica.apply_webhook(
                    WebhookObservation(
                        observation=observation(reported, Status.RECORDING, "webhook")
                    )
                ),
            ]
        await asyncio.gather(*requests)
    engine = open_engine(postgresql_url)
    with engine.connect() as looking:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert looking.execute(sa.text(deadlocks)).scalar() == 0
    engine.dispose()
