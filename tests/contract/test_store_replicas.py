"""What one replica reads while another one commits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from recording_schemas import CommandSucceeded, Status
from sandbox.postgresql import PostgreSQLServer
from worker.recording import Origin, Seen
from worker.snapshot import Snapshot
from worker.store import Claim, Finish, Reply, Store, outcome_record

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


@pytest.fixture
async def replicas(postgresql: PostgreSQLServer) -> AsyncIterator[tuple[Store, Store]]:
    url = postgresql.new_database()
    one, other = [await Store.open(url, source="test") for _ in range(2)]
    yield one, other
    await one.close()
    await other.close()
    postgresql.drop_database(url)


def claim(command_id: str, command_type: str, **more: Any) -> Claim:
    return Claim(
        command_id=command_id,
        command_type=command_type,
        owner="me",
        now=1000.0,
        lease_seconds=60.0,
        settle_seconds=30.0,
        abandoned_before=0.0,
        **more,
    )


def started() -> Finish:
    data = CommandSucceeded(
        command_id="start", command_type="start_track_recording", recording_ids=("r1",)
    )
    seen = Seen(
        snapshot=Snapshot(recording_id="r1", status=Status.INVOKED, kind="track", meeting_id="m1"),
        observed_by="command",
        asked_at=NOW,
        observed_at=NOW,
        origin=Origin(start_id="start"),
    )
    record = outcome_record(data, source="test", at=NOW, correlation_id=None, trace={})
    return Finish(outcome=record, reply=Reply(), seen=(seen,), now=1001.0)


async def test_a_start_that_is_done_is_never_seen_without_its_recording(
    replicas: tuple[Store, Store],
) -> None:
    starting, stopping = replicas
    await starting.claim(claim("start", "start_track_recording", slot="m1/track"))
    loop = asyncio.get_running_loop()
    reads: list[str] = []

    @sa.event.listens_for(stopping._group._engine, "after_cursor_execute")
    def commit_in_between(_1: Any, _2: Any, statement: str, params: Any, *_3: Any) -> None:
        if statement.startswith("SELECT") and "start" in dict(params or {}).values():
            reads.append(statement)
            if len(reads) == 1:
                asyncio.run_coroutine_threadsafe(starting.finish(started()), loop).result(10)

    claimed = await stopping.claim(claim("stop", "stop_recording", start_id="start"))
    assert len(reads) == 2
    assert claimed.start_state != "done" or claimed.known
