"""The API throttles, fails, does not answer, is not found, or refuses the token."""

import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.log_entries import RequestEntry
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment
from tests.fault.killable_worker import KillableWorker
from tests.fault.reliability_report import report_on
from tests.fault.run_record import SUCCEEDED
from worker.realtimekit.circuit_breaker import FAILURE_THRESHOLD

COMMANDS: Final = 40
PREFETCH: Final = 10
BLOCK_SECONDS: Final = 4.0
MAX_READS: Final = 8
"""The most requests of a worker in flight, besides those of commands."""


async def running(environment: FaultEnvironment, **settings: str) -> KillableWorker:
    worker = environment.worker(**{"WORKER_PREFETCH": str(PREFETCH), **settings})
    worker.start()
    await worker.ready()
    return worker


async def send_starts(environment: FaultEnvironment, numbers: Iterable[int]) -> None:
    for number in numbers:
        start = {"type": "start_track_recording", "id": f"start-{number}"}
        await environment.sender.send({**start, "meeting_id": str(uuid.uuid4())}, allowed=SUCCEEDED)


async def send_stops(environment: FaultEnvironment, numbers: Iterable[int]) -> None:
    """Stop the recordings after their starts: an earlier stop may cancel its start."""
    for number in numbers:
        await environment.recorder.outcome_of(f"start-{number}", seconds=75)
        stop = {"type": "stop_recording", "id": f"stop-{number}", "start_id": f"start-{number}"}
        await environment.sender.send(stop, allowed=SUCCEEDED)


async def all_are_recorded_and_stopped(environment: FaultEnvironment, numbers: range) -> None:
    """Stop the started recordings; then nothing may be lost, doubled or unexpected."""
    await send_stops(environment, numbers)
    found = await environment.settled(seconds=75)
    assert (found.violations, found.recordings) == ((), len(numbers))


async def says_that_the_api_is_unavailable(worker: KillableWorker) -> None:
    async def says_so() -> bool:
        status, why = await readiness(worker)
        return (status, list(why)) == (503, ["api"])

    await eventually(says_so, description="readiness names the api")


async def readiness(worker: KillableWorker) -> tuple[int, dict[str, str]]:
    """The status of `/readyz`, and of each check that fails the reason."""
    address = f"http://127.0.0.1:{worker.port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        checks = (await answer.json())["checks"]
    return answer.status, {
        name: check["reason"] for name, check in checks.items() if not check["ok"]
    }


def attempts(environment: FaultEnvironment) -> dict[str, int]:
    """The number of attempts of each command that was attempted."""
    path = Path(environment.settings["DATABASE_URL"].removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as looking:
        return dict(looking.execute("SELECT command_id, attempts FROM inbox"))


# Throttled


def throttle(environment: FaultEnvironment, rate: str) -> None:
    """The API applies a limit that its answers do not announce; workers obey announced limits."""
    environment.may_breach = True
    environment.sandbox.behaviour.change(
        {
            "rate_limits": [rate],
            "rate_headers": False,
            "real_rate_block_seconds": BLOCK_SECONDS,
        }
    )


async def test_a_throttled_worker_sends_nothing_for_the_requested_time_and_then_continues(
    environment: FaultEnvironment,
) -> None:
    throttle(environment, "60/5")
    await running(environment)
    await send_starts(environment, range(COMMANDS))
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    assert environment.sandbox.rate_limiter.breaches >= 1
    assert max(len(block) for block in blocks(environment)) <= PREFETCH + MAX_READS
    environment.may_breach = False
    assert len(report_on(environment.facts).unexpected) == sum(map(len, blocks(environment)))


async def test_a_throttled_sweep_reads_no_further_pages(environment: FaultEnvironment) -> None:
    worker = await running(environment)
    await send_starts(environment, range(COMMANDS))
    for number in range(COMMANDS):
        await environment.recorder.outcome_of(f"start-{number}")
    everything = environment.sandbox.recordings.index.all()
    await eventually(lambda: {recording.status for recording in everything} == {"RECORDING"})
    throttle(environment, f"{COMMANDS // 2}/60")
    for recording in everything:
        environment.sandbox.recordings.stop(recording)  # without a command: only a sweep finds it
    await eventually(
        lambda: len(blocks(environment)) > 1, seconds=30, description="it is tried again"
    )
    environment.sandbox.behaviour.change({"rate_limits": []})
    await worker.ready()
    found = await environment.settled(seconds=75)
    assert (found.violations, found.recordings) == ((), COMMANDS)
    assert len(blocks(environment)[0]) <= MAX_READS, "and half of them are not read yet"


def blocks(environment: FaultEnvironment) -> list[list[RequestEntry]]:
    """The refused requests: the one that exceeded the limit, and the ones during the block.

    These should be the requests already in flight, however late they arrived.
    """
    found: list[list[RequestEntry]] = []
    for request in environment.sandbox.request_log.requests:
        if request.status != 429:
            continue
        if found and request.at - found[-1][0].at < BLOCK_SECONDS:
            found[-1].append(request)
        else:
            found.append([request])
    return found


# Failing, slow, silent, away


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="refuse", status=503, envelope="html"),
        Fault(kind="lost_502"),
        Fault(kind="slow", seconds=1.5),
    ],
    ids=["fails", "fails-afterwards", "slow"],
)
async def test_a_failing_or_slow_api_loses_and_duplicates_nothing(
    environment: FaultEnvironment, fault: Fault
) -> None:
    worker = await running(environment)
    fault_id = environment.sandbox.faults.add(fault)
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    await struck(environment, FAILURE_THRESHOLD + 2)
    environment.sandbox.faults.clear(fault_id)
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    assert worker.starts == 1


async def struck(environment: FaultEnvironment, times: int) -> None:
    await eventually(
        lambda: all(fault.triggered >= times for fault in environment.sandbox.faults.active())
    )


async def test_during_an_outage_one_command_at_a_time_probes_and_the_others_stay_queued(
    environment: FaultEnvironment,
) -> None:
    worker = await running(environment)
    environment.api.refuse()
    environment.api.cut()
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    probes = 3
    before = sum(attempts(environment).values())  # some commands were being executed when it began
    await eventually(
        lambda: sum(attempts(environment).values()) >= before + 2,
        seconds=40,
        description="it probes",
    )
    assert len(attempts(environment)) <= PREFETCH + probes + 1, "the others are not taken up"
    await environment.api.restore()
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    of_starts = {name: made for name, made in attempts(environment).items() if "start" in name}
    assert sum(of_starts.values()) <= COMMANDS + PREFETCH + 2 * probes
    assert worker.starts == 1


async def test_a_silent_api_is_detected_and_so_is_its_return(
    environment: FaultEnvironment,
) -> None:
    worker = await running(environment)
    environment.api.black_hole()
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    await environment.api.restore()
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    assert worker.starts == 1


async def test_a_lease_shorter_than_a_request_does_not_hide_an_api_outage(
    environment: FaultEnvironment,
) -> None:
    worker = await running(environment, WORKER_LEASE_SECONDS="4", WORKER_API_TIMEOUT_SECONDS="60")
    environment.api.black_hole()
    await send_starts(environment, range(COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    await environment.api.restore()
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))


# A token that is revoked


async def test_a_revoked_token_is_replaced_through_its_file_without_a_restart(
    environment: FaultEnvironment, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    environment.sandbox.tokens.revoke("second")
    del environment.settings["REALTIMEKIT_API_TOKEN"]
    worker = await running(environment, REALTIMEKIT_API_TOKEN_FILE=str(path))
    await send_starts(environment, range(1))
    await environment.recorder.outcome_of("start-0")

    environment.sandbox.tokens.revoke("first")
    await send_starts(environment, range(1, COMMANDS))
    await says_that_the_api_is_unavailable(worker)
    path.write_text("second")
    before = refusals(environment)
    await eventually(
        lambda: refusals(environment) >= before + 2, seconds=40, description="it is tried"
    )
    await says_that_the_api_is_unavailable(worker)
    assert environment.recorder.outcomes.keys() == {"start-0"}

    path.write_text("third")
    await worker.ready()
    await all_are_recorded_and_stopped(environment, range(COMMANDS))
    assert worker.starts == 1
    assert not {"first", "second", "third"} & set(worker.log.read_text().split('"'))


def refusals(environment: FaultEnvironment) -> int:
    return sum(request.status == 401 for request in environment.sandbox.request_log.requests)
