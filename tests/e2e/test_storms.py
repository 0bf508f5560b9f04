"""Hundreds of recordings end within a second: the worker keeps to its budget and priorities.

Tests assert the order of facts, never a duration.
"""

import random
import uuid
from pathlib import Path

from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.recording import Recording, StartRequest
from recording_sandbox.services.ports import free_ports
from recording_sandbox.waiting import Eventually
from recording_schemas import Status, StatusChanged
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment

ENDS = 300
STOPS = 3
BUDGET = "600/60"


def start_recordings(environment: WorkerEnvironment, count: int) -> list[Recording]:
    """Another program starts recordings, each in a different meeting."""
    recordings = environment.sandbox.recordings
    meetings = (str(uuid.uuid4()) for _ in range(count))
    return [
        recordings.start(StartRequest(kind="track", app_id="app", meeting_id=meeting))
        for meeting in meetings
    ]


def published(environment: WorkerEnvironment, status: Status) -> set[str]:
    return {
        event.data.recording_id
        for event in environment.messages.events
        if isinstance(event.data, StatusChanged) and event.data.status is status
    }


def end(environment: WorkerEnvironment, recordings: list[Recording]) -> list[str]:
    """End recordings within two seconds, in random order; returns their ids in the order of
    ending."""
    order = random.sample(recordings, len(recordings))
    for recording in order:
        environment.sandbox.clock.advance(0.005)
        environment.sandbox.recordings.force(recording, "UPLOADED")
    return [recording.id for recording in order]


async def test_in_a_storm_of_ends_stops_go_first_and_every_end_is_published_within_the_budget(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    (port,) = free_ports(1)
    async with open_worker_environment(
        amqp_url,
        names_prefix,
        tmp_path,
        behaviour=Behaviour(invoked_seconds=0.1, rate_limits=(BUDGET,)),
        HTTP_PORT=str(port),
        WORKER_PUBLIC_URL=f"http://127.0.0.1:{port}",
        WORKER_FOLLOW_ALL="on",
        WORKER_API_BUDGET=BUDGET,
        WORKER_SWEEP_INTERVAL_SECONDS="1",
    ) as environment:
        await eventually(lambda: environment.requests("add_webhook"))
        recordings = start_recordings(environment, ENDS + STOPS)
        ids = {recording.id for recording in recordings}
        await eventually(lambda: ids == published(environment, Status.RECORDING))
        to_stop, to_end = recordings[:STOPS], recordings[STOPS:]
        ended = end(environment, to_end)
        log = environment.sandbox.request_log.requests

        for recording in to_stop:
            before = len(log)
            await environment.send(
                type="stop_recording", id=f"stop {recording.id}", recording_id=recording.id
            )
            await eventually(lambda: recording.status != "RECORDING")  # noqa: B023 - awaited here
            (stop,) = [
                request
                for request in log
                if request.detail == "stop" and request.recording_id == recording.id
            ]
            assert list(log).index(stop) - before < 2 * ENDS / 10, "it waited behind the reads"

        await eventually(lambda: set(ended) <= published(environment, Status.UPLOADED))
        assert environment.sandbox.rate_limiter.breaches == 0
