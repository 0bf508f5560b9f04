"""How `make check-speed` judges the tails of single commands."""

from benchmarks.contestant_process import PacedResult
from benchmarks.tails import CALM_MS, MAX_BUSY_RATIO, MAX_EVENT_RATIO, MAX_REQUEST_RATIO, goals_of

COMMANDS = 200


def window(*, usual_ms: float, slow_ms: float = 0.0, slow: int = 0, lost: int = 0) -> PacedResult:
    """Commands with these delays from confirm to request and to event. The first `slow` take
    longer."""
    delays = [usual_ms + (slow_ms if number < slow else 0.0) for number in range(COMMANDS)]
    return PacedResult(
        per_second=50.0,
        to_confirm=[1.0] * COMMANDS,
        to_request=[1.0 + delay for delay in delays],
        to_outcome=[1.0 + 2 * delay for delay in delays],
        cpu_ms=1.0,
        lost=lost,
        doubled=0,
    )


def met(worker: list[PacedResult], bare: list[PacedResult]) -> list[bool]:
    return [goal.met for goal in goals_of(worker, bare)]


def test_a_stall_in_one_of_fifty_commands_is_too_slow() -> None:
    bare = [window(usual_ms=2.0) for _ in range(8)]
    stalled = [window(usual_ms=3.0, slow_ms=20.0, slow=COMMANDS // 50) for _ in range(8)]
    assert met(stalled, bare) == [True, False, False, True]


def test_noise_that_spares_one_window_of_each_is_no_fault() -> None:
    noisy = window(usual_ms=2.0, slow_ms=100.0, slow=20)
    assert all(met([noisy, window(usual_ms=3.0)], [window(usual_ms=2.0)]))
    assert all(met([window(usual_ms=3.0)], [noisy, window(usual_ms=2.0)]))


def test_the_slowest_hundredth_counts_without_its_own_slowest() -> None:
    """One hiccup of the machine in a window is not the tail."""
    bare = [window(usual_ms=2.0)]
    assert all(met([window(usual_ms=3.0, slow_ms=100.0, slow=1)], bare))
    assert not all(met([window(usual_ms=3.0, slow_ms=100.0, slow=3)], bare))


def test_all_slower_than_the_bound_is_too_slow() -> None:
    max_ratio = max(MAX_REQUEST_RATIO, MAX_EVENT_RATIO)
    assert met([window(usual_ms=max_ratio + 0.1)], [window(usual_ms=1.0)])[1:3] == [False, False]


def test_on_a_busy_machine_only_a_collapse_is_too_slow() -> None:
    bare = [window(usual_ms=CALM_MS + 1)]
    assert all(met([window(usual_ms=MAX_BUSY_RATIO * CALM_MS)], bare))
    assert met([window(usual_ms=(MAX_BUSY_RATIO + 1) * (CALM_MS + 1))], bare)[1:3] == [False, False]


def test_a_lost_command_is_wrong() -> None:
    assert met([window(usual_ms=1.0, lost=1)], [window(usual_ms=1.0)])[-1] is False
