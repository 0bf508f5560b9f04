"""The criteria for single commands at everyday rates."""

from pathlib import Path

from benchmarks.contestant_process import PacedResult
from benchmarks.everyday import EverydayRound
from benchmarks.everyday_report import event_p99, everyday_goals, following_table, write_everyday
from benchmarks.report import BEGIN, END


def paced(outcome_ms: float, *, cpu_ms: float = 1.0, rate: float = 100.0) -> PacedResult:
    """A hundred commands that take equally long. Each is confirmed after a millisecond."""
    return PacedResult(
        per_second=rate,
        to_confirm=[1.0] * 100,
        to_request=[2.0] * 100,
        to_outcome=[1.0 + outcome_ms] * 100,
        cpu_ms=cpu_ms,
        lost=0,
        doubled=0,
    )


def everyday(**outcome_ms: tuple[float, ...]) -> list[EverydayRound]:
    return [
        EverydayRound(entry=entry.replace("_", "-"), number=number, paced=[paced(ms)])
        for entry, values in outcome_ms.items()
        for number, ms in enumerate(values, 1)
    ]


def test_a_delay_counts_from_the_confirm_of_the_command() -> None:
    assert event_p99(paced(3.0)) == 3.0


def test_a_goal_is_the_median_of_the_ratios_within_each_round() -> None:
    rounds = everyday(bare=(2.0, 4.0, 10.0), sqlite=(4.0, 12.0, 10.0))
    by_name = {goal.name: goal for goal in everyday_goals(rounds)}
    goal = by_name["p99 from confirm to event at 100/s, sqlite to the bare loop"]
    assert (goal.figure, goal.most, goal.met) == (2.0, 2.0, True)


def test_postgresql_is_judged_only_if_it_took_part() -> None:
    names = [goal.name for goal in everyday_goals(everyday(bare=(1.0,), sqlite=(1.0,)))]
    assert len(names) == 3
    assert not any("postgresql" in name for name in names)


def test_the_cost_of_following_is_the_difference_to_the_same_worker_without_it() -> None:
    rounds = everyday(bare=(1.0,), sqlite=(5.5,), sqlite_alone=(4.0,))
    (row,) = following_table(rounds)[1:]
    assert row == ["sqlite", "+0.0 ms", "+0.0 ms", "+1.5 ms"]


def test_the_section_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    begin, end = BEGIN.format(name="everyday", command="make bench"), END.format(name="everyday")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    write_everyday(everyday(bare=(1.0,), sqlite=(2.0,), sqlite_alone=(2.0,)), page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("before")
    assert text.endswith("after\n")
