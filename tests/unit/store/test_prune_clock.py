"""The clock of pruning: rows that are new by any clock are kept, and no row is kept forever."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from worker.store.prune_clock import MAX_STEP_SECONDS, STEADY_SECONDS, PruneClock

DAY: Final = 86_400.0
MONTH: Final = 30 * DAY
KEEP: Final = 7 * DAY
NOW: Final = 1_800_000_000.0


def pruned(clock: PruneClock, *moments: float) -> PruneClock:
    for moment in moments:
        clock = clock.advance(moment, longest=MONTH)
    return clock


def minutes(start: float, count: float) -> list[float]:
    return [start + 60.0 * number for number in range(1, int(count) + 1)]


USED: Final = PruneClock(last=NOW)


def test_a_steady_clock_prunes_rows_after_their_full_time() -> None:
    clock = pruned(USED, *minutes(NOW, 100))
    assert clock.horizon(KEEP) == clock.last - KEEP if clock.last else False
    assert clock.jumps == {}


def test_a_clock_that_is_ahead_for_a_moment_prunes_nothing_that_was_new_before() -> None:
    ahead = pruned(USED, *minutes(NOW + MONTH, 60))
    assert ahead.horizon(KEEP) <= NOW - KEEP + 2 * 3600.0
    again = pruned(ahead, *minutes(NOW + 3600.0, 3))
    assert again.horizon(KEEP) == NOW + 3600.0 + 180.0 - KEEP
    assert again.jumps == {}


def test_a_clock_that_stays_ahead_prunes_earlier_rows_after_their_full_time() -> None:
    clock = pruned(USED, NOW + MONTH)
    before = NOW - 60.0
    clock = clock.advance(NOW + MONTH + KEEP - 1.0, longest=KEEP)
    assert clock.horizon(KEEP) < before
    late = pruned(USED, NOW + MONTH, *minutes(NOW + MONTH, 60 * 24 * 8))
    assert late.horizon(KEEP) > before


def test_the_first_pruning_ever_removes_nothing() -> None:
    assert pruned(PruneClock(), NOW, *minutes(NOW, 10)).horizon(KEEP) < 0


def test_a_clock_that_was_wrong_at_the_first_pruning_removes_nothing_and_prunes_later() -> None:
    clock = pruned(PruneClock(), NOW + MONTH, *minutes(NOW, 5))
    assert clock.horizon(KEEP) < 0
    clock = pruned(clock, *minutes(NOW, KEEP / 60 + 10))
    assert clock.horizon(KEEP) == (clock.last or 0.0) - KEEP


def test_a_small_step_back_after_a_jump_does_not_undo_the_jump() -> None:
    jumped = pruned(USED, NOW + MONTH)
    assert pruned(jumped, NOW + MONTH - 5.0).horizon(KEEP) < NOW


def test_after_a_step_back_the_clock_counts_as_steady_only_after_a_while() -> None:
    assert USED.is_steady
    behind = pruned(USED, NOW - MONTH)
    assert not behind.is_steady
    assert not pruned(behind, *minutes(NOW - MONTH, STEADY_SECONDS / 60 - 1)).is_steady
    assert pruned(behind, *minutes(NOW - MONTH, STEADY_SECONDS / 60)).is_steady
    assert pruned(behind, NOW).is_steady, "it was wrong for a moment"


@given(st.lists(st.floats(-2 * MONTH, 2 * MONTH), max_size=6))
def test_no_jump_of_the_clock_prunes_rows_of_the_last_minutes(
    jumps: list[float],
) -> None:
    clock, shown, written = USED, NOW, [NOW]
    for jump in jumps:
        shown += jump
        for moment in minutes(shown, 3):
            clock = clock.advance(moment, longest=MONTH)
            assert all(at >= clock.horizon(KEEP) for at in written), "all were written just now"
            written.append(moment)
    assert MAX_STEP_SECONDS > 60.0
