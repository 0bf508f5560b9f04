"""Renders the table in docs/reference/settings.md; `make docs-pages` writes it."""

from pathlib import Path
from typing import Final

from worker.settings.settings import all_variables
from worker.settings.variables import Variable

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
HEADER: Final = "| variable | default | meaning |"


def table() -> str:
    """Every setting of the worker and the console."""
    return "\n".join([HEADER, "|---|---|---|", *map(_row, all_variables())]) + "\n"


def page() -> str:
    """The page with an up-to-date table."""
    before, rest = PAGE.read_text().split(HEADER)
    after = rest.partition("\n\n")[2]
    return f"{before}{table()}\n{after}"


def _row(variable: Variable) -> str:
    names = ", ".join(f"`{name}`" for name in variable.names)
    return f"| {names} | {_default(variable)} | {variable.meaning} |"


def _default(variable: Variable) -> str:
    if variable.default:
        return f"`{variable.default}`"
    if not variable.required:
        return ""
    return f"required, or `{variable.unless}`" if variable.unless else "required"
