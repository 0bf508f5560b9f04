"""Tables on a terminal, in 80 columns."""

import contextlib
import os
import pty
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from rich.cells import cell_len

from worker.cli.columns import Column
from worker.cli.fitting import relative_time
from worker.cli.outcomes import SUMMARY_COLUMNS
from worker.cli.output import print_rows, table_options
from worker.cli.recordings import COLUMNS as RECORDINGS
from worker.cli.tables import print_table
from worker.cli.text import cut_end, cut_middle

COLUMNS = (
    Column("recording", "recording_id", "id"),
    Column("app", "app"),
    Column("start", "start_id", "id"),
    Column("type", "type", "type"),
    Column("changed", "at", "time"),
    Column("error", "error"),
)
NOW = datetime.now(UTC)


def rows(**more: Any) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    first = {
        "recording_id": "1a2b3c4d-0000-4000-8000-000000000001",
        "app": "default",
        "start_id": None,
        "type": "start_track_recording",
        "at": now - timedelta(minutes=5, seconds=9),
        "error": None,
    }
    second = first | {
        "recording_id": "5e6f7a8b-0000-4000-8000-000000000001",
        "start_id": "order-2026-000000000000017",
        "at": now.timestamp() + 7500,
        "type": "stop_recording",
    }
    return [first | more, second | more]


@contextlib.contextmanager
def terminal(columns: int = 80) -> Iterator[Any]:
    """Standard output on a terminal; afterwards the value has the written text."""
    terminal_fd, stdout_fd = pty.openpty()
    written: dict[str, str] = {}
    before = sys.stdout
    with os.fdopen(stdout_fd, "w", buffering=1) as stdout, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm-256color")
        sys.stdout = stdout
        try:
            yield written
        finally:
            sys.stdout = before
    written["out"] = _read_all(terminal_fd).decode().replace("\r\n", "\n")


def _read_all(terminal: int) -> bytes:
    output = b""
    with contextlib.suppress(OSError):  # raised on Linux, because the other side is closed
        while piece := os.read(terminal, 65_536):
            output += piece
    os.close(terminal)
    return output


def shown(*flags: str, columns: int = 80, **more: Any) -> str:
    @click.command()
    @table_options
    def command(as_json: bool) -> None:
        print_rows(COLUMNS, rows(**more), as_json=as_json)

    with terminal(columns) as written:
        command.main(list(flags), standalone_mode=False)
    return str(written["out"])


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_terminal_shows_short_ids_relative_times_and_no_column_that_is_the_same() -> None:
    lines = plain(shown()).splitlines()

    assert [line.split() for line in lines] == [
        ["recording", "start", "type", "changed"],
        ["1a2b3c4d", "-", "start_track", "5m", "ago"],
        ["5e6f7a8b", "order-2026-000000000000017", "stop", "in", "2h"],
        ["In", "each", "row:", "app", "default"],
    ]


def test_an_id_of_another_form_is_cut_where_there_is_no_room_for_it() -> None:
    assert "order-2026-0…" in plain(shown(columns=50))


def test_wide_shows_whole_ids_exact_times_and_every_column() -> None:
    text = plain(shown("--wide", columns=200))

    assert "1a2b3c4d-0000-4000-8000-000000000001" in text
    assert "order-2026-000000000000017" in text
    assert NOW.astimezone().strftime("%Y-%m-") in text
    assert "In each row" not in text


def test_a_long_column_needs_wide_and_is_named_without_it() -> None:
    columns = (Column("name", "name", "name"), Column("notes", "notes", wide=True))
    row = {"name": "n" * 70, "notes": "words " * 20}

    with terminal() as written:
        print_table(columns, [row, row | {"name": "m"}])

    lines = plain(str(written["out"])).splitlines()
    assert [line.strip() for line in lines] == ["name", "n" * 70, "m", "With --wide: notes"]


def test_a_long_file_name_is_cut_in_the_middle_so_that_each_row_is_one_line() -> None:
    columns = (
        Column("recording", "id", "id"),
        Column("file", "file", "file"),
        Column("why", "why"),
    )
    row = {"id": "1a2b3c4d-0000-4000-8000-000000000001", "file": f"weekly_{'x' * 90}_1.webm"}
    other = {**row, "file": "short.webm", "why": None}

    with terminal() as written:
        print_table(columns, [{**row, "why": "refused"}, other])

    _, long, short = plain(str(written["out"])).splitlines()
    assert re.fullmatch(r"1a2b3c4d +weekly_x+…x+_1\.webm +refused *", long)
    assert len(long) <= 80
    assert "short.webm" in short


@pytest.mark.parametrize("flags", [(), ("--wide",)])
def test_colours_can_be_switched_off(flags: tuple[str, ...]) -> None:
    assert "\x1b[" in shown(*flags)
    assert "\x1b[" not in shown("--no-color", *flags)


def test_hostile_text_is_shown_escaped_on_a_terminal() -> None:
    assert "\\x1b[31mred\\u202e" in shown(error="\x1b[31mred\u202e", columns=120)


@pytest.mark.parametrize("columns", [80, 30])
def test_wide_has_each_row_in_one_line_so_that_an_id_can_be_copied(columns: int) -> None:
    lines = plain(shown("--wide", columns=columns)).splitlines()

    assert len(lines) == 3
    assert "1a2b3c4d-0000-4000-8000-000000000001" in lines[1]
    assert "order-2026-000000000000017" in lines[2]


def test_no_id_is_cut_off_where_there_is_no_room() -> None:
    text = "".join(plain(shown(columns=30)).split())

    for short in ("1a2b3c4d", "5e6f7a8b", "order-20…"):
        assert not Counter(short) - Counter(text)


def test_a_row_fits_into_80_columns_with_any_ids() -> None:
    lines = plain(shown(error="x" * 30)).splitlines()
    assert max(map(len, lines)) <= 80


LONG_IDS = ["weekly-sync-q4-start", "x" * 128, "会議の録画を開始する-東京本社-営業部", "🎙️" * 20]


@pytest.mark.parametrize("start_id", LONG_IDS)
@pytest.mark.parametrize("code", [None, "recording_errored"])
def test_each_recording_is_one_line_of_whole_words_in_80_columns(
    start_id: str, code: str | None
) -> None:
    row = {
        "recording_id": "1a2b3c4d-0000-4000-8000-000000000001",
        "app": "default",
        "kind": "composite",
        "shown_status": "RECORDING",
        "meeting_id": "5e6f7a8b-0000-4000-8000-000000000001",
        "start_id": start_id,
        "recording_duration": None,
        "changed_at": NOW - timedelta(minutes=50),
        "error_code": code,
    }
    other = row | {
        "kind": "track",
        "shown_status": "UPLOADED",
        "app": "eu",
        "meeting_id": "1a2b3c4d-0000-4000-8000-000000000001",
        "start_id": f"m{start_id[1:]}",
        "recording_duration": 86_399,
    }

    with terminal() as written:
        print_table(RECORDINGS, [row, other | {"error_code": None}])

    head, *lines = plain(str(written["out"])).splitlines()
    rows = [line for line in lines if not line.startswith(("With --wide", "In each row"))]
    assert [line.split()[0] for line in rows] == ["1a2b3c4d", "1a2b3c4d"]
    assert [("RECORDING" in line, "UPLOADED" in line) for line in rows] == [(1, 0), (0, 1)]
    assert {"recording", "status", "start"} <= set(head.split())
    assert max(cell_len(line) for line in (head, *rows)) <= 80


def test_a_column_without_a_value_is_left_out_of_a_single_row_too() -> None:
    with terminal() as written:
        print_table(COLUMNS, rows()[:1])

    assert plain(str(written["out"])).split("\n")[0].split() == [
        "recording",
        "app",
        "type",
        "changed",
    ]


def test_a_column_for_which_there_is_no_room_is_named() -> None:
    columns = (Column("name", "name", "name"), Column("notes", "notes", "name", spare=True))
    row = {"name": "n" * 70, "notes": "of a meeting"}

    with terminal(80) as narrow:
        print_table(columns, [row, row | {"name": "m", "notes": "of another"}])
    with terminal(90) as broad:
        print_table(columns, [row, row | {"name": "m", "notes": "of another"}])

    assert "With --wide: notes" in plain(str(narrow["out"]))
    assert "of a meeting" in plain(str(broad["out"]))


def test_a_terminal_says_in_words_that_there_is_nothing() -> None:
    with terminal() as written:
        print_table(COLUMNS, [], nothing="No recording matches.")

    assert plain(str(written["out"])) == "No recording matches.\n"


@pytest.mark.parametrize(
    "latest_id", ["1a2b3c4d-0000-4000-8000-000000000001", "a-command-of-20-char", "x" * 128]
)
def test_a_summary_of_outcomes_shows_each_error_code_whole_in_80_columns(latest_id: str) -> None:
    code = "unknown_storage_profile"  # the longest one
    row = {"count": 98_765, "command_type": "start_track_recording", "outcome": "succeeded"}
    others = {"latest_at": NOW - timedelta(minutes=50), "latest_id": latest_id}
    longest_row = row | others | {"code": code, "outcome": "rejected"}
    other = row | others | {"code": None, "command_type": "stop_recording", "latest_id": "x"}

    with terminal() as written:
        print_table(SUMMARY_COLUMNS, [other, longest_row])

    lines = plain(str(written["out"])).splitlines()
    assert max(map(len, lines)) <= 80
    (line,) = [line for line in lines if code in line]
    assert line.split()[1:3] == ["start_track", "rejected"]


def test_a_pipe_gets_whole_ids_and_exact_times_in_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows(COLUMNS, rows(), as_json=False)

    text = capsys.readouterr().out
    assert "1a2b3c4d-0000-4000-8000-000000000001" in text
    assert "start_track_recording" in text
    assert text.count("default") == 2
    assert " ago" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s ago"), (59.9, "59s ago"), (60, "1m ago"), (7_199, "1h ago"), (86_400, "1d ago"),
     (-59, "in 59s"), (-3_600, "in 1h")],
)  # fmt: skip
def test_a_time_is_shown_in_its_largest_unit(seconds: float, text: str) -> None:
    now = NOW.timestamp()
    assert relative_time(now - seconds, now) == text
    assert relative_time(None) is None


def test_texts_are_cut_to_their_width() -> None:
    assert cut_middle("team_call_1a2b3c4d_audio.webm", 13) == "team_c…o.webm"
    assert cut_end("already_recording", 8) == "already…"
    for width in range(1, 12):
        for text in ("", "abc", "abcdefghijk", "会議の録画", "a会議🎙️x", "e\u0301" * 9):
            assert cell_len(cut_middle(text, width)) <= width
            assert cell_len(cut_end(text, width)) <= width
