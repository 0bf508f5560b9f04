"""No text from outside can deceive the reader of a terminal or a log."""

import io
import json
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.restored_logs import restored_logs
from worker.cli.columns import Column
from worker.cli.output import print_json
from worker.cli.tables import print_table
from worker.domain.escaping import ENCODING_ERRORS, escape_controls, escape_json_controls
from worker.observability.logs import configure_logs

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x85next line",
    "\u202egpj.exe",
    "\u2066isolated\u2069",
    "\u200f\u061c",
    "zero\u200bwidth",
    "a\u2028line",
    "\r\nfalse line",
    "\x00\x7f",
    "\U000e0041tag",
]


def shows_itself(text: str) -> bool:
    return all(letter.isprintable() for letter in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_character_that_does_not_show_itself_is_escaped(text: str) -> None:
    assert shows_itself(escape_controls(text))
    assert "\\" in escape_controls(text)


@given(st.text())
def test_escaped_json_has_the_same_meaning(text: str) -> None:
    plain = json.dumps({text: [text]}, ensure_ascii=False)
    escaped = escape_json_controls(plain)
    assert shows_itself(escaped)
    assert json.loads(escaped) == json.loads(plain)


@pytest.mark.parametrize("text", ["Zoë Müller", "漢字", "naïve 🎙", "a\\b"])
def test_text_that_shows_itself_is_left_alone(text: str) -> None:
    assert escape_controls(text) == escape_json_controls(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_the_command_line_shows_hostile_text_escaped(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json({"name": text})
    print_table([Column("name", "name")], [{"name": text}])
    shown = capsys.readouterr().out
    assert shows_itself(shown.replace("\n", ""))
    assert shown.count("\n") == 3


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_log_line_shows_hostile_text_escaped(text: str, log_format: Any) -> None:
    stream = io.StringIO()
    with restored_logs():
        configure_logs(format=log_format, stream=stream)
        structlog.get_logger().warning(
            "command_completed", reason=text, deep={"key": [text]}, **{"odd" + text: 1}
        )
    line = stream.getvalue()
    colours = ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[35m", "\x1b[36m")
    for colour in colours:
        line = line.replace(colour, "")
    assert shows_itself(line.rstrip("\n")), line
    assert line.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift_jis"])
def test_json_stays_json_in_any_encoding_of_the_output(encoding: str) -> None:
    names = ["Ann", "Zoë", "\u5f20\u4f1f", "\U0001f600"]

    encoded = json.dumps(names, ensure_ascii=False).encode(encoding, ENCODING_ERRORS)

    assert json.loads(encoded.decode(encoding)) == names
