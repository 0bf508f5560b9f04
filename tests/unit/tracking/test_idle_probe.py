"""A replica that makes no other request finds out that the API works again."""

import asyncio

import httpx
import pytest

from recording_sandbox.waiting import eventually
from tests.unit.api_client import MEETING, answered_client
from worker.domain.errors import ApiError
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.tracking.idle_probe import IdleProbe


class Replica:
    """One whose API answers with `status`."""

    def __init__(self, status: int) -> None:
        self.status, self.seconds, self.requests = status, 0.0, 0
        self.breaker = CircuitBreaker(lambda: self.seconds)
        self.api = answered_client(
            self._answer, on_attempt=lambda attempt: self.breaker.record(attempt.error)
        )
        self.probe = IdleProbe(
            self.api, interval=0.001, breaker=self.breaker, monotonic=lambda: self.seconds
        )

    def _answer(self, _request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return httpx.Response(self.status, json={"success": self.status == 200, "data": []})

    async def fail(self) -> None:
        with pytest.raises(ApiError):
            await self.api.list_recordings(meeting_id=MEETING)


@pytest.mark.parametrize("status", [401, 503])
async def test_a_replica_without_commands_is_ready_again_when_the_api_works_again(
    status: int,
) -> None:
    replica = Replica(status)
    await replica.fail()
    await replica.probe.probe_if_due()
    replica.status, replica.seconds = 200, 1.0
    task = asyncio.create_task(replica.probe.run())
    await eventually(lambda: replica.api.unavailable_reason is None)
    task.cancel()
    assert not replica.breaker.is_open


async def test_a_probe_that_fails_doubles_the_pause_before_the_next_one() -> None:
    replica = Replica(401)
    await replica.fail()
    await replica.probe.probe_if_due()
    for replica.seconds, requests in ((0.9, 1), (1.0, 2), (2.9, 2), (3.0, 3)):
        await replica.probe.probe_if_due()
        assert replica.requests == requests


async def test_while_the_api_works_there_is_no_probe() -> None:
    replica = Replica(200)
    await replica.probe.probe_if_due()
    assert replica.requests == 0


async def test_after_a_failure_commands_and_sweeps_have_an_interval_to_make_a_request() -> None:
    replica = Replica(503)
    replica.probe = IdleProbe(
        replica.api, interval=10.0, breaker=replica.breaker, monotonic=lambda: replica.seconds
    )
    await replica.fail()
    for replica.seconds, requests in ((0.0, 1), (9.9, 1), (10.0, 2), (19.9, 2), (20.0, 3)):
        await replica.probe.probe_if_due()
        assert replica.requests == requests
