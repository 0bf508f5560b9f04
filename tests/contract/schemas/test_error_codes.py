"""The table of error codes has every code that the worker can send, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from recording_schemas import ERROR_CODES, ErrorInfo, Malformed, error_section
from recording_schemas.error_code import RESEND
from recording_schemas.error_codes import CODE_PATTERN, codes_of
from worker.archive import errors as archive_errors
from worker.archive.errors import ArchiveError
from worker.commands.parker import PARKED
from worker.commands.refused_claims import ID_IN_USE
from worker.domain import errors, outcomes
from worker.domain.errors import ApiError, NotYet
from worker.domain.meeting_participants import UNKNOWN
from worker.domain.recording import STALLED, VANISHED
from worker.realtimekit.actions import TOO_EARLY_CODES
from worker.realtimekit.error_body import MAX_MESSAGE_LENGTH

ROOT: Final = Path(__file__).parents[3]
CALLS: Final = {
    "ErrorInfo",
    "NotListed",
    "PeopleRefused",
    "RuleBroken",
    "__init__",
    "_maybe_executed",
    "_retry_soon",
    "retry_later",
    "_Broken",
    "_give_up",
    *(
        name
        for name, error in (vars(errors) | vars(archive_errors)).items()
        if isinstance(error, type) and issubclass(error, ApiError | NotYet | ArchiveError)
    ),
}
"""The functions that take a code, and the classes of errors that have one."""

PLACES: Final = {"_give_up": 1, "_maybe_executed": 1, "retry_later": 1}
"""The position of the code among the arguments, where it is not the first."""

NO_OUTCOME: Final = {"files_unread", "webhook_key", "http_server"}
"""Codes that no outcome has: of a repeated read, of the webhooks' key, and a logger's name."""

CONSTANTS: Final = {
    outcomes.CRASHED,
    outcomes.CANCELLED,
    outcomes.DEAD_LETTERED,
    ID_IN_USE,
    PARKED,
    STALLED,
    UNKNOWN,
    VANISHED,
    *TOO_EARLY_CODES.values(),
}


def codes_in(path: Path) -> Iterator[str]:
    """The codes in calls of `CALLS`, and those that a variable `code` takes before the call."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "code":
            yield from literals(node.value)
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in CALLS:
            place = PLACES.get(name, 0)
            named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            arguments = [*node.args[place : place + 1], *named]
            yield from (code for value in arguments for code in literals(value))


def literals(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*literals(value.body), *literals(value.orelse))
    elif isinstance(value, ast.Constant) and re.fullmatch(CODE_PATTERN, str(value.value)):
        yield str(value.value)


def test_every_code_of_the_archive_is_of_a_file_and_not_of_a_command() -> None:
    assert {ERROR_CODES[code].places for code in codes_of("archive")} == {("archive",)}


def sent_codes() -> set[str]:
    package = ROOT / "schemas/recording_schemas"
    tables = {
        "archive_codes.py",
        "archive_examples.py",
        "examples.py",
        "error_codes.py",
        "rejected_codes.py",
        "failed_codes.py",
    }
    files = [*ROOT.glob("worker/**/*.py"), *package.glob("*.py")]
    found = {code for path in files if path.name not in tables for code in codes_in(path)}
    return (found | CONSTANTS) - NO_OUTCOME


def test_the_table_has_every_code_that_is_sent_and_no_other() -> None:
    assert sorted(sent_codes()) == sorted(ERROR_CODES)


def test_every_code_of_a_message_that_is_no_command_is_named_by_its_error() -> None:
    named = set(re.findall(r"`(\w+)`", (Malformed.__doc__ or "").partition("`message`")[0]))

    assert named - {"code"} <= set(codes_of("rejected"))


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_every_code_has_the_section_that_its_message_names(code: str) -> None:
    entry = ERROR_CODES[code]
    document, _, title = str(error_section(code)).partition("#")
    _, _, section = (ROOT / document).read_text().partition(f"\n### {title}\n")

    assert title == code
    for text in (entry.when, entry.remedy, RESEND[entry.resend]):
        assert text in section.partition("\n### ")[0]
    assert re.fullmatch(CODE_PATTERN, code)


def test_a_retry_by_the_worker_is_never_the_advice_for_an_outcome() -> None:
    by_worker = {code for code, entry in ERROR_CODES.items() if entry.resend == "by_worker"}

    assert by_worker.isdisjoint(codes_of("rejected", "failed"))


def test_the_longest_text_of_the_api_leaves_room_for_the_link() -> None:
    longest_code = max(ERROR_CODES, key=len)
    text = "x" * MAX_MESSAGE_LENGTH
    last_error = ErrorInfo(code=longest_code, message=text)
    command = outcomes.Command.__args__[0](id="c", meeting_id="m")  # type: ignore[attr-defined]

    message = outcomes.failed(command, 1, last_error).last_error.message

    assert message.startswith(text)
    assert message.endswith(f"(see {error_section(longest_code)})")
    assert len(message) <= MAX_MESSAGE_LENGTH + 128
