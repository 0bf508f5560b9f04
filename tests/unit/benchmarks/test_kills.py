"""The table of the run with kills."""

from benchmarks.kills import KillsResult, section, table

RESULT = KillsResult(
    contestant="bare",
    label="bare loop",
    kills=10,
    commands=400,
    called_twice=54,
    lost=0,
    late=2,
    finished_seconds=31.26,
)


def test_a_row_counts_calls_made_twice_lost_events_and_late_outcomes() -> None:
    _, row = table([RESULT])
    assert row == ("bare loop", "54 of 400", "0", "2", "31.3")


def test_a_contestant_that_lost_an_event_never_finishes() -> None:
    lossy = KillsResult(
        contestant="x", label="x", kills=1, commands=9, called_twice=0, lost=1, late=1,
        finished_seconds=3.0,
    )  # fmt: skip
    assert table([lossy])[1][-1] == "never"


def test_the_section_describes_the_kills() -> None:
    text = section([RESULT])
    assert text.startswith("10 kills, 2 s after each start, at 20 commands a second.")
    assert "| bare loop |" in text
