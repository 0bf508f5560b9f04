"""How many requests a recording costs over its whole life, as docs/explanation/budget.md says."""

from collections import Counter
from pathlib import Path

import pytest

from recording_sandbox.model.log_entries import RequestEntry
from recording_sandbox.waiting import Eventually
from recording_schemas import Completed, Status, StatusChanged
from tests.e2e.test_webhooks import webhook_environment
from tests.e2e.worker_environment import WorkerEnvironment

RECORDINGS = 12
BY_LISTS = ("list_recordings", "list_webhooks", "add_webhook")


async def live_and_end(environment: WorkerEnvironment, command: str) -> int:
    """Start recordings in different meetings and end them; returns the API requests for them."""
    meetings = environment.sandbox.meetings
    ids = [f"start-{number}" for number in range(RECORDINGS)]
    for start_id in ids:
        meeting = meetings.create(participants=["ada", "grace"])
        await environment.send(type=command, id=start_id, meeting_id=meeting.id)
    recordings = [
        (await environment.event(StatusChanged, status=Status.RECORDING, start_id=start_id)).subject
        for start_id in ids
    ]
    index = environment.sandbox.recordings.index
    for recording_id in recordings:
        assert recording_id is not None
        environment.sandbox.recordings.force(index.get(recording_id), "UPLOADED")
    for start_id in ids:
        await environment.event(Completed, start_id=start_id)
    entries = environment.sandbox.request_log.entries()
    asked = Counter(entry.operation for entry in entries if isinstance(entry, RequestEntry))
    for operation in BY_LISTS:
        asked.pop(operation, None)
    return asked.total()


@pytest.mark.parametrize(
    ("command", "most"), [("start_track_recording", 3), ("start_recording", 2)]
)
async def test_a_recording_that_webhooks_report_costs_few_requests(
    amqp_url: str,
    names_prefix: str,
    tmp_path: Path,
    eventually: Eventually,
    command: str,
    most: int,
) -> None:
    async with webhook_environment(amqp_url, names_prefix, tmp_path, eventually) as environment:
        assert await live_and_end(environment, command) <= most * RECORDINGS


async def test_a_composite_whose_webhook_shows_its_files_costs_only_its_start(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with webhook_environment(amqp_url, names_prefix, tmp_path, eventually) as environment:
        assert await live_and_end(environment, "start_recording") == RECORDINGS


async def test_a_track_recording_whose_webhook_shows_its_files_needs_no_read(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with webhook_environment(amqp_url, names_prefix, tmp_path, eventually) as environment:
        environment.sandbox.behaviour.change({"webhook_track_urls": True})
        asked = await live_and_end(environment, "start_track_recording")
        assert asked == 2 * RECORDINGS  # the start, and the participants of its session
