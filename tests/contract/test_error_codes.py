"""`docs/reference/errors.md` lists every code that an outcome or event can have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worker.domain import errors, outcomes
from worker.domain.errors import ApiError, NotYet
from worker.domain.meeting_participants import UNKNOWN
from worker.realtimekit.actions import TOO_EARLY_CODES

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/reference/errors.md").read_text()
CALLS: Final = {
    "ErrorInfo",
    "NotListed",
    "PeopleRefused",
    "RuleBroken",
    "__init__",
    "_maybe_executed",
    *(
        name
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, ApiError | NotYet)
    ),
}
"""The functions that take a code, and the classes of errors that have one."""

NO_OUTCOME: Final = {"webhook_key", "http_server"}
"""No codes of a command: of the key that webhooks are signed with, and the name of a logger."""


def codes_in(path: Path) -> Iterator[str]:
    """The codes in calls of `CALLS`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in CALLS:
            place = 1 if name == "_maybe_executed" else 0
            named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            given = [*node.args[place : place + 1], *named]
            yield from (code for value in given for code in literals(value))


def literals(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*literals(value.body), *literals(value.orelse))
    elif isinstance(value, ast.Constant) and re.fullmatch(r"[a-z]+(_[a-z]+)*", str(value.value)):
        yield str(value.value)


def test_every_code_is_on_the_page() -> None:
    files = [*ROOT.glob("worker/**/*.py"), *ROOT.glob("schemas/recording_schemas/*.py")]
    found = {code for path in files if path.name != "examples.py" for code in codes_in(path)}
    constants = {outcomes.CRASHED, outcomes.CANCELLED, outcomes.DEAD_LETTERED, UNKNOWN}
    codes = (found | constants | set(TOO_EARLY_CODES.values())) - NO_OUTCOME
    assert {"start_unknown", "timeout", "conflicting_fields", "bad_request"} <= codes
    assert sorted(code for code in codes if f"`{code}`" not in PAGE) == []
