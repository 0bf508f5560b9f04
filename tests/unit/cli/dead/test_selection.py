"""Which dead letters the flags select."""

from typing import Any

import pytest

from tests.unit.cli.dead.letters import NOON, letter
from worker.__main__ import main
from worker.cli.dead.selection import Selection


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (Selection(), True),
        (Selection(handles=frozenset(["one", "two"])), True),
        (Selection(handles=frozenset(["two"])), False),
        (Selection(reasons=frozenset(["crashed"])), True),
        (Selection(reasons=frozenset(["not_json"])), False),
        (Selection(types=frozenset(["sync_recording"])), True),
        (Selection(types=frozenset(["unknown"])), False),
        (Selection(reasons=frozenset(["crashed"]), types=frozenset(["unknown"])), False),
        (Selection(fingerprints=frozenset()), False),
        (Selection(fingerprints=frozenset([letter().fingerprint])), True),
    ],
)
def test_a_letter_is_selected_when_it_satisfies_every_flag(
    selection: Selection, selected: bool
) -> None:
    assert selection.matches(letter()) is selected


@pytest.mark.parametrize(
    ("times", "selected"),
    [
        ({"last_seen": NOON.replace(hour=11), "first_seen": NOON.replace(hour=10)}, True),
        ({"last_seen": NOON.replace(hour=13), "first_seen": NOON.replace(hour=10)}, False),
        ({"last_seen": NOON}, False),
        ({"first_seen": NOON.replace(hour=11)}, True),
        ({}, False),
    ],
)
def test_before_compares_the_time_of_death_or_else_the_first_time(
    times: dict[str, Any], selected: bool
) -> None:
    assert Selection(before=NOON.timestamp()).matches(letter(**times)) is selected


@pytest.mark.parametrize(
    "arguments",
    [(), ("one", "--all"), ("one", "--reason", "x"), ("--all", "--type", "stop_recording")],
)
@pytest.mark.parametrize("subcommand", ["replay", "drop"])
def test_letters_must_be_selected_in_exactly_one_way(
    subcommand: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead", subcommand, *arguments])

    assert ended.value.code == 2
    assert "--all" in capsys.readouterr().err
