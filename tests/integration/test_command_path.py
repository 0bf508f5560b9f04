"""One command from bytes to a settlement, against the emulated API and a real store."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from sandbox.api.options import SandboxOptions
from sandbox.api.server import Sandbox
from sandbox.model.faults import Fault
from sandbox.model.log_entries import RequestEntry, StartedEntry
from sandbox.model.recording import StartRequest
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import Throttled
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.store.inbox import ClaimRequest
from worker.store.queries import RecordingsFilter
from worker.store.store import Store

START = "start_track_recording"
LIMITS = RetryPolicy(
    max_age=3600,
    stop_wait=300,
    settle=30,
    lease=60,
    retry_delays=(5.0, 30.0, 120.0),
)


class Bench:
    """The path on real parts, with a clock that a test can put forward."""

    def __init__(
        self, sandbox: Sandbox, store: Store, api: RealtimeKitClient, hasty: RealtimeKitClient
    ) -> None:
        self.sandbox = sandbox
        self.store = store
        self.api = api
        self._hasty = hasty
        self.ahead = 0.0
        self.outage = CircuitBreaker(lambda: time.monotonic() + self.ahead)
        self.meeting = str(uuid.uuid4())
        self.path = self.another_process()

    def another_process(self, api: RealtimeKitClient | None = None) -> CommandHandler:
        """As after a restart: it knows only what the store knows."""
        return CommandHandler(
            self.store,
            Apps([App(name="default", api=api or self.api, breaker=self.outage)]),
            LIMITS,
            owner=str(uuid.uuid4()),
            source="test",
            now=lambda: time.time() + self.ahead,
            max_command_bytes=10_000,
            on_commit=lambda: None,
            metrics=Metrics(CollectorRegistry(), version="test"),
        )

    def pass_time(self, seconds: float) -> None:
        """Put both clocks forward, ours and the API's."""
        self.ahead += seconds
        self.sandbox.clock.advance(seconds)

    async def send(self, command: dict[str, Any], **properties: Any) -> Settlement:
        return await self.send_raw(msgspec.json.encode(command), **properties)

    async def send_in_haste(self, command: dict[str, Any]) -> Settlement:
        """To a process that waits for the API for a second only, not as a busy machine needs."""
        path = self.another_process(self._hasty)
        return await path.handle(Delivery(body=msgspec.json.encode(command), routing_key="x"))

    async def send_raw(self, body: bytes, **properties: Any) -> Settlement:
        return await self.path.handle(Delivery(body=body, routing_key="x", **properties))

    def start(self, command_id: str = "start-1", **more: Any) -> dict[str, Any]:
        return {
            "type": "start_track_recording",
            "id": command_id,
            "meeting_id": self.meeting,
            **more,
        }

    async def outcomes(self, command_id: str = "start-1") -> list[dict[str, Any]]:
        """Every publication of the command's outcome, oldest first."""
        return [
            msgspec.json.decode(one.body) | {"routing_key": one.routing_key}
            for one in await self.store.unsent(1000)
            if one.subject == command_id and one.exchange == "results"
        ]

    async def outcome(self, command_id: str = "start-1") -> dict[str, Any]:
        (one,) = await self.outcomes(command_id)
        return one

    def started(self) -> list[StartedEntry]:
        return [one for one in self.sandbox.request_log.entries() if isinstance(one, StartedEntry)]

    def requests(self, operation: str) -> list[RequestEntry]:
        entries = self.sandbox.request_log.entries()
        return [
            one for one in entries if isinstance(one, RequestEntry) and one.operation == operation
        ]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Sandbox(SandboxOptions(speed=1.0)) as sandbox:
        store = await Store.open(f"sqlite:///{tmp_path / 'state.db'}", source="test")
        api, hasty = (
            RealtimeKitClient(
                base_url=sandbox.base_url,
                account_id="acc",
                app_id="app",
                token=lambda: "token",
                timeout=timeout,
                retry=RequestRetry(attempts=2, base_seconds=0.01, total_seconds=timeout),
            )
            for timeout in (20.0, 1.0)
        )
        yield Bench(sandbox, store, api, hasty)
        await api.aclose()
        await hasty.aclose()
        await store.close()


# The plain way


async def test_a_start_starts_one_recording_and_tells_its_id(bench: Bench) -> None:
    assert await bench.send(bench.start()) == Ack()
    outcome = await bench.outcome()
    assert outcome["routing_key"] == "start_track_recording.succeeded"
    assert outcome["data"]["recording_ids"] == [one.recording_id for one in bench.started()]


async def test_the_same_command_id_twice_is_one_recording_and_the_outcome_again(
    bench: Bench,
) -> None:
    await bench.send(bench.start())
    (first,) = waiting = await bench.outcomes()
    await bench.store.mark_sent([one.position for one in await bench.store.unsent(10)], 1.0)
    another = bench.start(user_ids=["somebody-else"])
    assert await bench.send(another) == Ack()
    assert await bench.outcomes() == waiting
    assert len(bench.started()) == 1
    assert first["data"]["command_id"] == "start-1"


async def test_a_burst_of_one_command_starts_one_recording(bench: Bench) -> None:
    settlements = await asyncio.gather(*(bench.send(bench.start()) for _ in range(20)))
    assert set(settlements) == {Ack()}
    assert len(bench.started()) == 1


async def test_a_composite_start_sends_what_the_publisher_gave(bench: Bench) -> None:
    command = bench.start(type="start_recording", max_seconds=600, file_name_prefix="weekly")
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert started.kind == "composite"
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


# When the answer is lost


@pytest.mark.parametrize("kind", ["lost_reset", "lost_hang", "lost_half", "lost_502"])
async def test_a_start_whose_answer_was_lost_is_found_and_adopted_not_started_again(
    bench: Bench, kind: Any
) -> None:
    bench.sandbox.faults.add(Fault(kind=kind, operation="start*", count=1))
    assert isinstance(await bench.send_in_haste(bench.start()), Retry)
    assert await bench.outcomes() == []
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


PAIR = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b01_c9e8d7b6-a504-4392-8170-6f5e4d3c2b01"


@pytest.mark.parametrize("codec", ["H264", "VP8"])
@pytest.mark.parametrize(
    "prefix", ["sales_call_audio", "team_a_audio", "a_b_video", f"default_{PAIR}_peer_audio"]
)
async def test_a_composite_whose_name_looks_like_a_track_is_adopted_as_the_composite_it_is(
    bench: Bench, prefix: str, codec: str
) -> None:
    command = bench.start(
        type="start_recording",
        file_name_prefix=prefix,
        video_config={"codec": codec},
        allow_multiple_recordings=True,
    )
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    bench.ahead = 31.0  # from now on a start that is not found is called again
    assert await bench.send(command) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]
    (recording,) = await bench.store.recordings(RecordingsFilter(app="default"))
    assert recording.kind == "composite"


async def test_a_lost_answer_is_not_mistaken_for_the_recordings_of_others(bench: Bench) -> None:
    await bench.api.start_composite_recording(
        {"meeting_id": bench.meeting, "allow_multiple_recordings": True}
    )
    theirs = await bench.send(bench.start("theirs"))
    assert theirs == Ack()
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    assert await bench.send(bench.start()) == Ack()
    mine = bench.started()[-1].recording_id
    assert (await bench.outcome())["data"]["recording_ids"] == [mine]
    assert len(bench.started()) == 3


async def test_a_recording_that_others_began_before_our_call_is_not_adopted(
    bench: Bench,
) -> None:
    theirs = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.sandbox.clock.advance(60)
    bench.ahead = 60.0
    fault = Fault(kind="lost_reset", operation=START, count=1)
    bench.sandbox.faults.add(fault)
    await bench.send(bench.start())
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["data"]["recording_ids"] != [theirs.recording_id]


@pytest.mark.parametrize("ahead", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("moments", [2.0, 3.0, 4.9])
async def test_a_recording_that_others_began_moments_before_a_call_that_never_arrived_is_theirs(
    bench: Bench, moments: float, ahead: float
) -> None:
    bench.ahead = ahead
    theirs = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    bench.pass_time(moments)
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.pass_time(31.0)
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 2
    assert (await bench.outcome())["data"]["recording_ids"] != [theirs.recording_id]


@pytest.mark.parametrize("ahead", [-3600.0, -4.0, 0.0, 4.0, 3600.0])
@pytest.mark.parametrize("type_", ["start_track_recording", "start_recording"])
async def test_our_own_recording_is_found_by_the_clock_of_the_api_whatever_ours_shows(
    bench: Bench, type_: str, ahead: float
) -> None:
    bench.ahead = ahead
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=type_, count=1))
    assert isinstance(await bench.send(bench.start(type=type_)), Retry)
    bench.pass_time(31.0)
    assert await bench.send(bench.start(type=type_)) == Ack()
    assert len(bench.started()) == 1


THEIRS: dict[str, dict[str, Any]] = {
    "another kind": {"kind": "track", "prefix": "weekly"},
    "another prefix": {"prefix": "daily"},
    "a prefix that only begins alike": {"prefix": "week"},
    "a participant's": {"prefix": "weekly", "caller": "USER"},
    "the meeting's own": {"prefix": "weekly", "reason": "RECORD_ON_START"},
}


@pytest.mark.parametrize("theirs", THEIRS)
async def test_a_recording_that_differs_in_what_the_list_shows_of_it_is_not_adopted(
    bench: Bench, theirs: str
) -> None:
    bench.sandbox.behaviour.change({"list_reasons": True})
    command = bench.start(
        type="start_recording", file_name_prefix="weekly", allow_multiple_recordings=True
    )
    bench.sandbox.faults.add(Fault(kind="reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    fields: dict[str, Any] = {"kind": "composite", "allow_multiple": True} | THEIRS[theirs]
    request = StartRequest(app_id="app", meeting_id=bench.meeting, **fields)
    bench.sandbox.recordings.start(request)
    bench.pass_time(31.0)
    assert await bench.send(command) == Ack()
    (_, ours) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [ours.recording_id]


@pytest.mark.parametrize("prefix", ["Weekly Sync 7", "über_uns", "a-b_c"])
async def test_a_prefix_that_the_api_spells_otherwise_is_still_ours(
    bench: Bench, prefix: str
) -> None:
    command = bench.start(type="start_recording", file_name_prefix=prefix)
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    assert isinstance(await bench.send(command), Retry)
    (listed,) = bench.sandbox.recordings.index.of_meeting(bench.meeting)
    listed.output_file_name = listed.output_file_name.replace(" ", "_").replace("-", "_").lower()
    bench.pass_time(31.0)
    assert await bench.send(command) == Ack()
    assert len(bench.started()) == 1


async def test_a_lagging_list_does_not_lead_to_a_second_start(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"list_lag_seconds": 10.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    assert isinstance(await bench.send(bench.start()), Retry)
    bench.sandbox.behaviour.change({"list_lag_seconds": 0.0})
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_a_start_that_never_reached_the_api_is_called_again_once_that_is_settled(
    bench: Bench,
) -> None:
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    assert isinstance(await bench.send(bench.start()), Retry)
    assert isinstance(await bench.send(bench.start()), Retry), "it may still be under way"
    bench.ahead = 31.0
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_a_call_that_is_executed_long_after_we_gave_up_waiting_is_adopted(
    bench: Bench,
) -> None:
    fault = Fault(kind="late", operation=START, count=1, seconds=4)
    bench.sandbox.faults.add(fault)
    assert isinstance(await bench.send_in_haste(bench.start()), Retry)
    assert isinstance(await bench.send(bench.start()), Retry)
    assert bench.started() == []
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_crash_between_call_and_commit_adopts_the_existing_recording(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=START, count=1))
    dying = asyncio.create_task(bench.send(bench.start()))
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    dying.cancel()
    await asyncio.wait([dying])
    bench.path = bench.another_process()
    assert isinstance(await bench.send(bench.start()), Retry), "the dead one's lease still runs"
    bench.ahead = 61.0
    bench.path = bench.another_process()
    assert await bench.send(bench.start()) == Ack()
    (started,) = bench.started()
    assert (await bench.outcome())["data"]["recording_ids"] == [started.recording_id]


async def test_another_start_of_the_meeting_waits_while_one_is_in_doubt(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start("a"))
    assert isinstance(await bench.send(bench.start("b")), Retry)
    assert len(bench.started()) == 1
    await bench.send(bench.start("a"))
    assert await bench.send(bench.start("b")) == Ack()
    assert len(bench.started()) == 2


async def test_a_conflict_with_our_own_lost_start_is_adopted(bench: Bench) -> None:
    command = bench.start(type="start_recording")
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation="start_recording", count=1))
    bench.sandbox.behaviour.change({"list_lag_seconds": 100.0})
    await bench.send(command)
    bench.ahead = 31.0  # the API has had its time, and still lists nothing
    assert (await bench.send(command)) == Ack()
    assert (await bench.outcome())["data"]["code"] == "already_recording"
    assert len(bench.started()) == 1


# When the API says no, or is away


async def test_what_the_api_refuses_is_rejected_with_its_message(bench: Bench) -> None:
    await bench.send(bench.start("first", type="start_recording"))
    assert await bench.send(bench.start("second", type="start_recording")) == Ack()
    data = (await bench.outcome("second"))["data"]
    assert (data["code"], data["http_status"]) == ("already_recording", 409)
    assert data["message"]


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_refusals_are_final(bench: Bench, status: int) -> None:
    bench.sandbox.faults.add(
        Fault(kind="refuse", operation=START, status=status, message="no such luck")
    )
    assert await bench.send(bench.start()) == Ack()
    data = (await bench.outcome())["data"]
    assert data["http_status"] == status
    assert "no such luck" in data["message"]


@pytest.mark.parametrize("status", [401, 403, 429])
async def test_what_is_no_fault_of_the_command_is_tried_later(bench: Bench, status: int) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=status, count=2))
    assert isinstance(await bench.send(bench.start()), Retry)
    assert await bench.outcomes() == []
    bench.sandbox.faults.clear()
    assert await bench.send(bench.start()) == Ack()
    assert len(bench.started()) == 1


async def test_retry_after_is_waited_for(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=429, retry_after=90))
    settlement = await bench.send(bench.start())
    assert isinstance(settlement, Retry)
    assert settlement.delay_seconds >= 90


async def test_delays_grow_with_the_attempts_and_end_with_the_deadline(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    deadline = datetime.now(UTC) + timedelta(seconds=100)
    command = bench.start(deadline=deadline.isoformat())
    delays = []
    for _ in range(3):
        settlement = await bench.send(command)
        assert isinstance(settlement, Retry)
        delays.append(settlement.delay_seconds)
    assert delays[:2] == [5.0, 30.0]
    assert delays[2] == 30.0, "the third step is longer than the command may live"


async def test_a_command_past_its_deadline_expires_without_a_call(bench: Bench) -> None:
    deadline = datetime.now(UTC) - timedelta(seconds=1)
    assert await bench.send(bench.start(deadline=deadline.isoformat())) == Ack()
    outcome = await bench.outcome()
    assert outcome["type"] == "command.expired.v1"
    assert bench.requests("start_track_recording") == []


async def test_a_deadline_that_passes_while_a_start_is_in_doubt_does_not_hide_its_recording(
    bench: Bench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(command)
    bench.ahead = 10.0
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"


async def test_a_deadline_that_passes_while_the_call_hangs_does_not_hide_its_recording(
    bench: Bench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="lost_hang", operation=START, count=1))
    calling = asyncio.create_task(bench.send_in_haste(command))
    await bench.sandbox.request_log.until(lambda _: bench.started() or None)
    bench.ahead = 21.0
    assert isinstance(await calling, Retry)
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"


async def test_a_start_in_doubt_past_its_deadline_expires_once_nothing_came_to_light(
    bench: Bench,
) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    command = bench.start(deadline=deadline.isoformat())
    bench.sandbox.faults.add(Fault(kind="reset", operation=START, count=1))
    await bench.send(command)
    bench.ahead = 10.0
    assert isinstance(await bench.send(command), Retry)
    bench.ahead = 40.0
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_recordings", count=2))
    assert isinstance(await bench.send(command), Retry), "the look itself failed"
    bench.ahead = 80.0
    assert await bench.send(command) == Ack()
    assert (await bench.outcome())["type"] == "command.expired.v1"
    assert bench.started() == []


async def test_a_command_that_never_worked_fails_with_its_last_error(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="refuse", operation=START, status=401))
    await bench.send(bench.start())
    bench.ahead = 3601.0
    assert await bench.send(bench.start()) == Ack()
    data = (await bench.outcome())["data"]
    assert data["last_error"]["code"] == "unauthorized"
    assert data["attempts"] == 1


# When the API is away, or the command kills


async def test_a_command_that_waits_out_an_outage_grows_old_all_the_same(bench: Bench) -> None:
    bench.outage.record(Throttled("throttled", "slow down", retry_after=7200))
    seen = datetime.now(UTC) - timedelta(seconds=3700)
    assert await bench.send(bench.start(), headers={"x-first-seen": seen.isoformat()}) == Ack()
    data = (await bench.outcome())["data"]
    assert data["last_error"]["code"] == "too_old"
    assert bench.requests(START) == []


async def test_a_start_that_waits_for_its_slot_expires_in_time(bench: Bench) -> None:
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start("in-doubt"))
    deadline = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert isinstance(await bench.send(bench.start("waits", deadline=deadline)), Retry)
    bench.ahead = 6.0
    assert await bench.send(bench.start("waits", deadline=deadline)) == Ack()
    assert (await bench.outcome("waits"))["type"] == "command.expired.v1"
    assert await bench.send(bench.start("in-doubt")) == Ack()
    assert len(bench.started()) == 1


async def test_in_an_outage_a_command_waits_without_being_attempted(bench: Bench) -> None:
    bench.outage.record(Throttled("throttled", "slow down", retry_after=3600))
    waiting = asyncio.create_task(bench.send(bench.start()))
    deadline = datetime.now(UTC) - timedelta(seconds=1)
    await bench.send(bench.start("late", deadline=deadline.isoformat()))
    assert (await bench.outcome("late"))["type"] == "command.expired.v1"
    assert not waiting.done()
    bench.outage.record(None)
    assert await waiting == Ack()
    assert bench.requests(START)[0].status == 200
    assert len(bench.requests(START)) == 1


async def dies(bench: Bench, times: int, *, alone: bool) -> None:
    """So many processes claim the start and are never heard of again."""
    for number in range(times):
        died = ClaimRequest(
            command_id="start-1",
            command_type=START,
            owner=f"process-{number}",
            now=time.time() - 100 + number,
            lease_seconds=0.0,
            settle_seconds=30.0,
            abandoned_before=0.0,
            slot=f"{bench.meeting}/track",
            alone=alone,
        )
        await bench.store.claim(died)


async def test_a_command_that_ends_the_process_again_and_again_is_buried(bench: Bench) -> None:
    await dies(bench, 6, alone=True)
    settlement = await bench.send(bench.start())
    assert isinstance(settlement, Dead)
    assert settlement.code == "crashed"
    data = (await bench.outcome())["data"]
    assert (data["last_error"]["code"], data["attempts"]) == ("crashed", 6)
    assert bench.requests(START) == []


async def test_before_a_start_is_buried_the_recording_it_may_have_begun_is_looked_for(
    bench: Bench,
) -> None:
    await dies(bench, 5, alone=True)
    begun = await bench.api.start_track_recording({"meeting_id": bench.meeting})
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["data"]["recording_ids"] == [begun.recording_id]


async def test_a_command_that_was_in_hand_when_others_crashed_is_executed(bench: Bench) -> None:
    await dies(bench, 20, alone=False)
    assert await bench.send(bench.start()) == Ack()
    assert (await bench.outcome())["type"] == "command.succeeded.v1"
    assert len(bench.started()) == 1


# Stop, pause, resume, sync


async def test_a_stop_that_comes_before_its_start_waits_and_then_stops(bench: Bench) -> None:
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert isinstance(await bench.send(stop), Retry)
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    assert await bench.send(stop) == Ack()
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


async def test_a_stop_of_an_invoked_recording_waits_until_it_records(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 3600.0})
    await bench.send(bench.start())
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    settlement = await bench.send(stop)
    assert isinstance(settlement, Retry)
    assert settlement.code == "not_stoppable"
    bench.sandbox.clock.advance(3601)
    assert await bench.send(stop) == Ack()


async def test_a_stop_whose_start_never_comes_fails_as_start_unknown(bench: Bench) -> None:
    stop = {"type": "stop_recording", "id": "stop", "start_id": "never"}
    await bench.send(stop)
    bench.ahead = 301.0
    assert await bench.send(stop) == Ack()
    data = (await bench.outcome("stop"))["data"]
    assert data["last_error"]["code"] == "start_unknown"


async def test_a_stop_that_was_too_early_a_moment_ago_is_asked_again(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    refused = Fault(
        kind="refuse",
        operation="change_recording",
        status=400,
        message="recording is not in progress (INVOKED)",
        count=1,
    )
    bench.sandbox.faults.add(refused)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert await bench.send(stop) == Ack()
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


async def test_a_stop_that_is_asked_again_and_whose_answer_is_lost_has_stopped(
    bench: Bench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    too_early = Fault(kind="refuse", operation="change_recording", status=400, count=1)
    lost = Fault(kind="lost_reset", operation="change_recording", count=1)
    for fault in (too_early, lost):
        bench.sandbox.faults.add(fault)
    stop = {"type": "stop_recording", "id": "stop", "start_id": "start-1"}
    assert await bench.send(stop) == Ack()
    asked = [
        one for one in bench.sandbox.request_log.requests if one.operation == "change_recording"
    ]
    assert [one.status for one in asked] == [400, 200, 404]
    assert (await bench.outcome("stop"))["type"] == "command.succeeded.v1"


async def test_stopping_what_has_ended_succeeds(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0, "uploading_seconds": 0.0})
    await bench.send(bench.start())
    (started,) = bench.started()
    for number in range(3):
        stop = {
            "type": "stop_recording",
            "id": f"stop-{number}",
            "recording_id": started.recording_id,
        }
        assert await bench.send(stop) == Ack()
        assert (await bench.outcome(f"stop-{number}"))["type"] == "command.succeeded.v1"


async def test_a_stop_of_a_meeting_ends_all_its_live_recordings_also_unknown_ones(
    bench: Bench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    theirs = await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    stop = {"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting}
    assert await bench.send(stop) == Ack()
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert sorted(stopped) == sorted([theirs.recording_id, bench.started()[0].recording_id])


async def test_a_stop_of_a_meeting_waits_while_a_start_of_it_is_in_doubt(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    bench.sandbox.faults.add(Fault(kind="lost_reset", operation=START, count=1))
    await bench.send(bench.start())
    stop = {"type": "stop_recording", "id": "stop", "meeting_id": bench.meeting}
    settlement = await bench.send(stop)
    assert isinstance(settlement, Retry)
    assert settlement.code == "start_pending"
    await bench.send(bench.start())
    assert await bench.send(stop) == Ack()
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert stopped == [bench.started()[0].recording_id]


async def test_a_stop_of_a_meeting_can_be_limited_to_one_kind(bench: Bench) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    stop = {
        "type": "stop_recording",
        "id": "stop",
        "meeting_id": bench.meeting,
        "kind": "track",
    }
    await bench.send(stop)
    stopped = (await bench.outcome("stop"))["data"]["recording_ids"]
    assert stopped == [bench.started()[0].recording_id]


async def test_pause_and_resume_are_told_as_changes_and_repeat_without_harm(
    bench: Bench,
) -> None:
    bench.sandbox.behaviour.change({"invoked_seconds": 0.0})
    await bench.send(bench.start())
    for number, action in enumerate(["pause", "pause", "resume", "pause"]):
        command = {
            "type": f"{action}_recording",
            "id": f"c{number}",
            "start_id": "start-1",
        }
        assert await bench.send(command) == Ack()
        assert (await bench.outcome(f"c{number}"))["type"] == "command.succeeded.v1"
    keys = [one.routing_key for one in await bench.store.unsent(100) if one.exchange == "status"]
    assert keys[1:] == ["track.paused", "track.recording", "track.paused"]


async def test_a_sync_adopts_a_recording_that_others_started(bench: Bench) -> None:
    theirs = await bench.api.start_composite_recording({"meeting_id": bench.meeting})
    sync = {"type": "sync_recording", "id": "sync", "recording_id": theirs.recording_id}
    assert await bench.send(sync) == Ack()
    (adopted,) = await bench.store.recordings(RecordingsFilter(app="default"))
    assert (adopted.recording_id, adopted.start_id) == (theirs.recording_id, None)


async def test_a_sync_of_what_nobody_knows_is_rejected(bench: Bench) -> None:
    sync = {"type": "sync_recording", "id": "sync", "recording_id": str(uuid.uuid4())}
    assert await bench.send(sync) == Ack()
    assert (await bench.outcome("sync"))["data"]["code"] == "not_found"


# What is no command


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[]", "not_an_object"),
        (b'{"id":"x"}', "missing_type"),
        (b'{"type":"start_the_party","id":"x"}', "unknown_type"),
        (b'{"type":"sync_recording","id":"x","recording_id":"r"}', "invalid_field"),
        (b"x" * 10_001, "too_large"),
    ],
)
async def test_what_is_no_command_is_a_dead_letter_with_its_reason(
    bench: Bench, body: bytes, code: str
) -> None:
    settlement = await bench.send_raw(body, message_id="m-1")
    assert isinstance(settlement, Dead)
    assert settlement.code == code
    (outcome,) = [*await bench.outcomes("m-1"), *await bench.outcomes("x")]
    assert outcome["data"]["code"] == code
    assert outcome["routing_key"].endswith(".rejected")


async def test_a_misspelt_member_is_refused_by_name_and_nobody_is_recorded(bench: Bench) -> None:
    settlement = await bench.send(bench.start(user_idz=["ada"]))
    assert isinstance(settlement, Dead)
    data = (await bench.outcome())["data"]
    assert (data["code"], data["field"]) == ("unknown_field", "user_idz")
    assert bench.started() == []


async def test_without_any_id_there_is_a_dead_letter_and_no_outcome(bench: Bench) -> None:
    command = {"type": "start_track_recording", "meeting_id": bench.meeting}
    settlement = await bench.send(command)
    assert isinstance(settlement, Dead)
    assert settlement.code == "missing_id"
    assert await bench.store.unsent(10) == []


async def test_an_unknown_app_is_rejected_by_name(bench: Bench) -> None:
    await bench.send(bench.start(app="other"))
    data = (await bench.outcome())["data"]
    assert (data["code"], data["field"]) == ("unknown_app", "app")


# Secrets


async def test_a_credential_that_the_api_repeats_appears_nowhere(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.sandbox.faults.add(Fault(kind="echo_body", operation="start_recording"))
    storage = {"type": "aws", "access_key": "AKIA-X", "secret": "hunter2-key", "bucket": "b"}
    settlement = await bench.send(bench.start(type="start_recording", storage_config=storage))
    assert settlement == Ack()
    assert "[secure]" in (await bench.outcome())["data"]["message"]
    await bench.store.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hunter2-key" not in written
    captured = capsys.readouterr()
    assert "hunter2-key" not in captured.out + captured.err
