"""Another replica commits between two statements of a transaction. PostgreSQL only."""

from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.store import inbox
from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.database.direct import STATEMENT_WATCHERS
from worker.store.database.engine import open_engine
from worker.store.finishing import FinishRequest, finish
from worker.store.recording_rows import load_rows
from worker.store.recordings import apply_observations
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
SLOT = "m/track"
WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def claim(command_id: str, command_type: str, **about: Any) -> ClaimRequest:
    owner = f"owner of {command_id}"
    return claim_request(command_id, command_type, owner=owner, app="default", **about)


START = claim("start", "start_track_recording", slot=SLOT, meeting_id="m")
PAUSE = claim("pause", "pause_recording", recording_id="r")
STOP_START = claim("stop", "stop_recording", start_id="start")
STOP_MEETING = claim("stop", "stop_recording", meeting_id="m", rival_slots=(SLOT,))


def observation(status: Status, *, start: StartContext | None = None) -> Observation:
    snapshot = RecordingSnapshot(recording_id="r", status=status, kind="track", meeting_id="m")
    return observation_of(snapshot, NOW, "command", start=start)


def end_of(command: ClaimRequest, result: Observation) -> FinishRequest:
    return success_of(
        command.command_id,
        result,
        at=NOW,
        command_type=command.command_type,
        recording_ids=("r",),
        now=1001.0,
    )


END_OF_START = end_of(START, observation(Status.INVOKED, start=StartContext(start_id="start")))


def commit_end(url: str, request: FinishRequest) -> None:
    """Commit the end of a command, as another replica does."""
    engine = open_engine(url)
    with engine.begin() as connection:
        finish(connection, [request], source="test", archives=False)
    engine.dispose()


def claimed_while_the_start_ends(url: str, stop: ClaimRequest) -> ClaimResult:
    """Another replica ends the start after the first look at it or at its recording.

    The claim may hold a lock on the start: then the other replica waits for the end of the claim.
    """
    claiming = open_engine(url)
    ending: list[Thread] = []

    def end(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        end_at(statement)

    def end_at(statement: str, *_values: Any) -> None:
        if ("FROM inbox" in statement or "FROM recordings" in statement) and not ending:
            ending.append(Thread(target=commit_end, args=(url, END_OF_START)))
            ending[0].start()
            ending[0].join(timeout=1.0)

    sa.event.listen(claiming, "after_cursor_execute", end)
    STATEMENT_WATCHERS.append(end_at)
    with claiming.begin() as connection:
        (claimed,) = inbox.claim(connection, [stop])
    STATEMENT_WATCHERS.remove(end_at)
    assert ending
    ending[0].join()
    claiming.dispose()
    return claimed


@pytest.mark.parametrize("stop", [STOP_START, STOP_MEETING], ids=["start", "meeting"])
async def test_a_start_that_ends_while_its_stop_is_claimed_has_its_recording(
    postgresql_url: str, stop: ClaimRequest
) -> None:
    store = await Store.open(postgresql_url, source="test")
    await store.claim(START)
    claimed = claimed_while_the_start_ends(postgresql_url, stop)
    is_over = claimed.start_state == "done" or not (claimed.pending_starts or stop.start_id)
    assert not is_over or claimed.known_recordings
    await store.close()


async def test_an_event_follows_the_events_of_the_transaction_that_its_transaction_waited_for(
    postgresql_url: str, eventually: Eventually
) -> None:
    store = await Store.open(postgresql_url, source="test")
    await store.claim(START)
    await store.claim(PAUSE)
    commit_end(postgresql_url, END_OF_START)
    pausing_engine, watching = open_engine(postgresql_url), open_engine(postgresql_url)
    pausing = Thread(
        target=commit_end, args=(postgresql_url, end_of(PAUSE, observation(Status.PAUSED)))
    )

    def waits_for_the_lock() -> bool:
        with watching.begin() as connection:
            return bool(connection.execute(WAITING).scalar_one())

    with pausing_engine.begin() as connection:
        load_rows(connection, {"r"})
        pausing.start()
        await eventually(waits_for_the_lock)
        apply_observations(
            connection, [[observation(Status.RECORDING)]], source="test", archives=False
        )
    pausing.join()
    keys = [event.routing_key for event in await store.unsent(10) if event.subject == "r"]
    assert keys == ["track.invoked", "track.recording", "track.paused"]
    for engine in (pausing_engine, watching):
        engine.dispose()
    await store.close()
