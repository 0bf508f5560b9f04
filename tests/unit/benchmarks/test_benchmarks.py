"""The criteria of the benchmarks: a wrong one would give a wrong judgement of the code."""

import asyncio
import math
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from benchmarks.check_speed import bounds
from benchmarks.contestant_list import contestants_named
from benchmarks.contestant_process import BurstResult
from benchmarks.goals import Goal
from benchmarks.process_usage import usage_of_session
from benchmarks.report import BEGIN, END, replace_section
from benchmarks.results import BenchResults, ContestantRound, Machine, percentile
from benchmarks.stub_api import Connection, Stub
from benchmarks.tracking import bench as tracking
from benchmarks.tracking import delays, report
from benchmarks.tracking.environment import EventTimes
from benchmarks.tracking.results import (
    Delays,
    LoadProfile,
    MassEnding,
    Scenario,
    ScenarioResult,
    TrackingResults,
)
from recording_sandbox.model.log_entries import RequestEntry, TransitionEntry
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import Eventually
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry
from worker.settings.settings import Settings
from worker.settings.variables import variables_of

MACHINE = Machine(processors=2, python="3", rabbitmq="4")


def test_the_worker_takes_part_with_its_default_number_of_commands_in_work() -> None:
    default = variables_of(Settings)["prefetch"].default
    assert {str(contestant.in_flight) for contestant in contestants_named("sqlite,postgresql")} == {
        default
    }


def burst(per_second: float, cpu_ms: float = 1.0, lost: int = 0) -> BurstResult:
    return BurstResult(
        commands=100, per_second=per_second, cpu_ms=cpu_ms, broker_cpu_ms=0.1, lost=lost, doubled=0
    )


def measured(*rounds: tuple[str, BurstResult]) -> BenchResults:
    return BenchResults(
        machine=MACHINE,
        commands=100,
        rounds=[
            ContestantRound(
                contestant=name,
                number=1,
                ready_seconds=1.0,
                idle_rss=1,
                paced=[],
                fast_api=result,
                slow_api=burst(1.0),
            )
            for name, result in rounds
        ],
    )


def speed(contestant: ContestantRound) -> float:
    return contestant.fast_api.per_second


def test_a_ratio_compares_only_figures_of_the_same_round() -> None:
    rates = {"sqlite": (100, 10, 60), "bare": (50, 10, 20)}
    run = measured(*((name, burst(rate)) for name in rates for rate in rates[name]))
    assert run.ratio("sqlite", "bare", speed) == 2.0  # of 2, 1 and 3, and not 60 to 20


def test_a_goal_that_could_not_be_measured_is_not_met() -> None:
    assert not Goal(name="x", figure=math.nan, least=1.0).met
    assert not Goal(name="x", figure=math.nan, most=1.0).met


def test_one_lost_command_fails_the_speed_check_however_fast_it_was() -> None:
    fast = measured(("sqlite", burst(1000.0, lost=1)), ("bare", burst(1.0)))
    assert [goal.met for goal in bounds(fast)] == [True, True, False]


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert [percentile([1.0, 2.0, 3.0], share) for share in (0.0, 0.5, 1.0)] == [1.0, 2.0, 3.0]
    assert math.isnan(percentile([], 0.5))


def test_a_contestant_that_does_not_take_part_is_named() -> None:
    with pytest.raises(ValueError, match="nobody: not among bare, "):
        contestants_named("bare,nobody")


def test_a_report_does_not_change_the_rest_of_its_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    marks = BEGIN.format(name="n", command="make n"), END.format(name="n")
    page.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    replace_section(page, "n", "make n", "new")
    assert page.read_text() == f"before\n{marks[0]}\n\nnew\n\n{marks[1]}\nafter\n"


def test_the_busiest_five_minutes_are_found_wherever_they_begin() -> None:
    assert delays.busiest([0.0, 200.0, 290.0, 299.0, 301.0, 499.0, 900.0]) == 5
    assert delays.busiest([]) == 0


def change(recording_id: str, status: str, at: float) -> TransitionEntry:
    return TransitionEntry(
        at=at, recording_id=recording_id, meeting_id="m", previous=None, status=status
    )


def test_a_status_that_was_never_observed_is_skipped_only_if_the_last_one_was_published() -> None:
    ledger = [
        change(recording_id, status, 1.0)
        for recording_id in "ab"
        for status in ("UPLOADING", "UPLOADED")
    ]
    times = EventTimes()
    times.statuses = {("a", "UPLOADED"): 3.0, ("b", "UPLOADING"): 4.0}
    measured = delays.status_delays(ledger, times, {"a", "b"})
    assert (measured.changes, measured.skipped, measured.missed) == (4, 1, 1)
    assert (measured.p50, measured.most) == (3.0, 3.0)


def test_the_delay_of_files_is_that_of_the_last_one() -> None:
    ledger = [change(recording_id, "UPLOADED", 1.0) for recording_id in "ab"]
    times = EventTimes()
    times.files, times.completed = {"a": [2.0, 3.0, 9.0], "b": [2.0, 3.0]}, {"a": 9.1, "b": 3.1}
    measured = delays.file_delays(ledger, times, {"a", "b"})
    assert (measured.most, measured.missed) == (8.0, 1)


def outcome(live: int, replicas: int, *, webhooks: bool, p99: float = 7.0) -> ScenarioResult:
    figures = Delays(changes=9, missed=0, skipped=0, p50=3.0, p99=p99, most=p99)
    return ScenarioResult(
        scenario=Scenario(live=live, replicas=replicas, webhooks=webhooks),
        ends_per_second=0.8,
        adopted_seconds=60.0,
        requests={"list_recordings": 1_000, "get_recording": 96},
        breaches=0,
        busiest=700,
        per_second=2.5,
        sweeping_per_second=1.75,
        reads_each=1.0,
        status=figures,
        files=figures,
        burst=figures if webhooks else None,
        cpu=0.05,
        rss=100 * 2**20,
    )


def all_results() -> list[ScenarioResult]:
    """Every scenario of the tracking benchmark."""
    return [
        outcome(scenario.live, scenario.replicas, webhooks=scenario.webhooks)
        for scenario in tracking.scenarios([1_000, 10_000], [1, 3], "naive,sweep,webhooks")
    ]


def test_the_tracking_table_has_all_scenarios_figures_goals_and_a_plot(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    marks = (
        BEGIN.format(name="tracking", command="make bench-tracking"),
        END.format(name="tracking"),
    )
    page.write_text("\n".join(marks) + "\n")
    report.write(TrackingResults(profile=LoadProfile(), outcomes=all_results()), page)
    text = page.read_text()
    rows = [line for line in text.splitlines() if line.startswith(("| 1,000 ", "| 10,000 "))]
    assert len(rows) == 10
    assert sum("naive" in row for row in rows) == 2
    for figure in ("2.50", "3.0 s · 7.0 s", "5.0", "100", "8,100", "1,096: 1,000 list_recordings"):
        assert any(figure in row for row in rows), figure
    assert text.count("requests in any 5 minutes") == 4
    picture = (tmp_path / "performance" / "tracking.svg").read_text()
    assert all(result.scenario.label in picture for result in all_results())


def mass(*, completed: int, reads: int) -> ScenarioResult:
    """1,000 recordings that all ended. This many of them were completed in 500 s."""
    delays_of_all = outcome(1_000, 1, webhooks=False).status
    ending = MassEnding(
        uploaded=delays_of_all,
        ended=1_000,
        completed=completed,
        last_completed=480.0 if completed == 1_000 else math.nan,
        reads=reads,
        seconds=500.0,
        per_second=3.5,
        stops=delays_of_all,
    )
    result = outcome(1_000, 1, webhooks=False)
    scenario = msgspec.structs.replace(result.scenario, all_end=True)
    return msgspec.structs.replace(result, scenario=scenario, mass=ending)


@pytest.mark.parametrize(
    ("completed", "reads", "sentence"),
    [
        (1_000, 0, "after 480 s, with no reads"),
        (1_000, 1_200, "after 480 s, with 1,200 reads"),
        (250, 500, "expected after 929 s: 1,500 reads are left, and the budget lets 3.50 requests"),
    ],
)
def test_the_table_of_endings_says_when_the_last_is_completed_and_why(
    tmp_path: Path, completed: int, reads: int, sentence: str
) -> None:
    page = tmp_path / "performance.md"
    marks = (
        BEGIN.format(name="endings", command="make bench-tracking"),
        END.format(name="endings"),
    )
    page.write_text("\n".join(marks) + "\n")
    result = mass(completed=completed, reads=reads)
    run = TrackingResults(profile=LoadProfile(), outcomes=[result])
    report.write(run, page)
    assert sentence in page.read_text()
    tracking._write(tmp_path / "run.json", run)
    assert tracking._read(tmp_path / "run.json").outcomes[0].scenario == result.scenario


def test_a_storm_is_judged_by_its_stops_and_not_by_its_longest_wait() -> None:
    result = mass(completed=1_000, reads=0)
    storm = msgspec.structs.replace(result.scenario, storm_seconds=10.0)
    goals = report.goals(
        TrackingResults(
            profile=LoadProfile(), outcomes=[msgspec.structs.replace(result, scenario=storm)]
        )
    )
    assert [goal.name.rpartition(": ")[2] for goal in goals] == [
        "requests in any 5 minutes",
        "breaches",
        "ends never published",
        "slowest stop",
    ]
    assert all("within 10 s" in goal.name for goal in goals)


def test_a_completion_is_overtaken_by_those_that_ended_later_and_were_completed_earlier() -> None:
    ledger = [
        change(recording_id, "UPLOADED", at)
        for recording_id, at in (("a", 1.0), ("b", 2.0), ("c", 5.0))
    ]
    assert delays.overtaken(ledger, ["a", "b", "c"]) == 0.0
    assert delays.overtaken(ledger, ["b", "c", "a"]) == 4.0
    assert delays.overtaken(ledger, []) == 0.0


def test_a_stop_is_late_by_the_time_until_the_api_is_asked_to_stop_that_recording() -> None:
    def request(recording_id: str, at: float) -> RequestEntry:
        return RequestEntry(
            at=at, operation="change_recording", method="PUT", status=200, recording_id=recording_id
        )

    ledger = [request("b", 2.5), request("a", 4.0)]
    measured = delays._stop_delays(ledger, {"a": 1.0, "b": 2.0, "c": 3.0})
    assert (measured.changes, measured.missed, measured.most) == (3, 1, 3.0)


def test_a_hundred_thousand_are_neither_polled_nor_do_all_of_them_end() -> None:
    found = list(tracking.scenarios([100_000], [1, 3], tracking.WAYS))
    assert [(scenario.replicas, scenario.webhooks) for scenario in found] == [
        (1, False),
        (3, False),
        (1, True),
        (3, True),
    ]
    assert all(scenario.is_prepared and not scenario.all_end for scenario in found)


@pytest.mark.parametrize("ready", [1.5, 2.5])
def test_the_goals_of_a_hundred_thousand_are_judged_by_that_many_only(ready: float) -> None:
    prepared = msgspec.structs.replace(
        outcome(100_000, 1, webhooks=True, p99=0.06), ready_seconds=ready, burst_changes=100.0
    )
    run = TrackingResults(profile=LoadProfile(), outcomes=[*all_results(), prepared])
    judged = {goal.name: goal.met for goal in report.goals(run) if "100,000" in goal.name}
    assert judged["100,000, 1 worker, webhooks: ready after kill -9"] == (ready < 2)
    assert not judged["100,000, 1 worker, webhooks: status p99 at 100 changes/s"]
    assert judged["100,000, 1 worker, webhooks: memory a worker"]
    descriptions = [goal.name for goal in report.goals(run) if "10,000, 1 worker, w" in goal.name]
    assert not any("kill" in description or "CPU" in description for description in descriptions)


def test_runs_that_were_made_in_parts_make_the_same_table() -> None:
    parts = [
        TrackingResults(profile=LoadProfile(), outcomes=all_results()[first::3])
        for first in (2, 0, 1)
    ]
    assert tracking.merged(parts).outcomes == all_results()
    again = outcome(10_000, 1, webhooks=False, p99=5.0)
    later = tracking.merged([*parts, TrackingResults(profile=LoadProfile(), outcomes=[again])])
    assert [result for result in later.outcomes if result.status.p99 == 5.0] == [again]
    with pytest.raises(SystemExit, match="paces"):
        tracking.merged([parts[0], TrackingResults(profile=LoadProfile(seconds=1.0), outcomes=[])])


def test_a_run_is_read_back_as_it_was_written_even_with_missing_figures(tmp_path: Path) -> None:
    results = TrackingResults(
        profile=LoadProfile(), outcomes=[outcome(10_000, 0, webhooks=False, p99=math.nan)]
    )
    tracking._write(tmp_path / "run.json", results)
    (again,) = tracking._read(tmp_path / "run.json").outcomes
    assert again.scenario == results.outcomes[0].scenario
    assert math.isnan(again.status.p99)


def test_a_missing_figure_is_not_shown_in_seconds() -> None:
    nobody = outcome(10_000, 0, webhooks=False, p99=math.nan)
    assert "3.0 s · never" in report.text(TrackingResults(profile=LoadProfile(), outcomes=[nobody]))


async def test_the_usage_of_a_grandchild_counts(tmp_path: Path, eventually: Eventually) -> None:
    spin = f"{sys.executable} -c 'while True: pass' & wait"
    process = OwnedProcess(["/bin/sh", "-c", spin], environ=os.environ, log=tmp_path / "log")
    try:
        await eventually(lambda: usage_of_session(process.pid).cpu > 0.05, seconds=30)
        assert usage_of_session(process.pid).rss > 0
    finally:
        process.end(signal.SIGKILL, seconds=5)


@pytest.fixture
async def stub() -> AsyncIterator[tuple[Stub, RealtimeKitClient]]:
    """The stub of the API, and the worker's own client of it."""
    stub_server = Stub()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stub_server), "127.0.0.1", 0)
    api = RealtimeKitClient(
        base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        account_id="account",
        app_id="app",
        token=lambda: "token",
        timeout=10.0,
        retry=RequestRetry(attempts=1, base_seconds=0.001, total_seconds=10.0),
    )
    yield stub_server, api
    await api.aclose()
    server.close()
    await server.wait_closed()


async def test_the_stub_answers_as_the_worker_expects(stub: tuple[Stub, RealtimeKitClient]) -> None:
    server, api = stub
    meetings = [str(uuid.uuid4()) for _ in range(150)]
    started = [await api.start_track_recording({"meeting_id": meeting}) for meeting in meetings]
    pages = [await api.list_recordings(page_no=number, per_page=100) for number in (1, 2)]
    listed = {recording.recording_id for page in pages for recording in page.recordings}
    assert listed == {recording.recording_id for recording in started}
    assert [page.is_last for page in pages] == [False, True]
    assert [len(server.start_times[meeting]) for meeting in meetings] == [1] * 150


async def test_the_stub_gives_a_recording_the_requested_number_of_files(
    stub: tuple[Stub, RealtimeKitClient],
) -> None:
    server, api = stub
    started = await api.start_track_recording({"meeting_id": str(uuid.uuid4())})
    server.files = 500
    recording = await api.get_recording(started.recording_id)
    assert len({file.name for file in recording.files}) == 500
