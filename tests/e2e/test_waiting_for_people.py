"""A start by custom ids that waits for its session, behind a pooler and across a kill."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandSucceeded, Completed, FileReady
from tests.e2e.worker_environment import open_worker_environment

METADATA = {"case": "needle-0117", "größe": "XL 🎙"}


@pytest.fixture
async def pooled_url(pgbouncer: PgBouncer, postgresql: PostgreSQLServer) -> AsyncIterator[str]:
    url = postgresql.new_database()
    yield pgbouncer.url(url)
    postgresql.drop_database(url)


async def test_a_waiting_start_records_the_people_who_have_the_ids_when_the_session_begins(
    amqp_url: str, names_prefix: str, tmp_path: Path, pooled_url: str, eventually: Eventually
) -> None:
    more: dict[str, Any] = {"DATABASE_URL": pooled_url, "WORKER_DATABASE_POOLER": "transaction"}
    async with open_worker_environment(amqp_url, names_prefix, tmp_path, **more) as environment:
        meetings, meeting = environment.sandbox.meetings, environment.meeting_id
        meetings.create(meeting, participants=2, live=False)
        await environment.start(
            custom_participant_ids=["late", "participant-1"],
            wait_for_session=True,
            metadata=METADATA,
            max_seconds=600,
        )
        await eventually(lambda: len(environment.requests("active_session")) == 1)
        await environment.worker.kill()
        late = [meetings.register(meeting, "late").id for _ in range(2)]
        await environment.worker.start()
        first = next(iter(meetings.get(meeting).participants))
        for person in (first, *late):
            meetings.join(meeting, person)
        outcome = (await environment.outcome("start-1")).data
        assert isinstance(outcome, CommandSucceeded)
        assert outcome.metadata == METADATA
        (started,) = environment.sandbox.request_log.started
        assert len(started.user_ids or ()) == 3
        environment.sandbox.clock.advance(10)
        await environment.send(type="stop_recording", id="stop-1", start_id="start-1")
        completed = (await environment.event(Completed)).data
        assert isinstance(completed, Completed)
        assert completed.metadata == METADATA
        files = [
            event.data for event in environment.messages.events if isinstance(event.data, FileReady)
        ]
        assert {file.custom_participant_id for file in files} == {"late", "participant-1"}
        assert len({file.user_id for file in files}) == 3
        _, metrics = await environment.worker.probe("/metrics")
        assert "needle-0117" not in metrics
        assert "needle-0117" not in environment.worker.log.read_text()
