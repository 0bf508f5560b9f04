"""The chart's README table and the words in its schema, both made from values.yaml.

`python -m tests.helm.documents` writes them; with `--check` it says what is not as it would be
written, and exits with 1. A value's documentation is the comment above it. The settings in the
schema are those of the worker: new ones are added, those that are gone are removed, and the bounds
that the schema has for one are left as they are.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from worker.settings.documentation import documented_settings

CHART: Final = Path(__file__).parents[2] / "helm" / "recording-worker"
VALUES: Final = CHART / "values.yaml"
SCHEMA: Final = CHART / "values.schema.json"
README: Final = CHART / "README.md"
BEGIN: Final = "<!-- values: written by `make chart` -->\n"
END: Final = "<!-- end of values -->\n"
NOT_HERE: Final = frozenset(
    {"HTTP_PORT", "REALTIMEKIT_ACCOUNT_ID", "REALTIMEKIT_APP_ID"}
    | {"WORKER_APPS_FILE", "WORKER_STORAGE_PROFILES_FILE"}
)
"""Settings that follow from other values."""


class Value(NamedTuple):
    """A value of the chart: its path, its default and what is said about it."""

    path: tuple[str, ...]
    default: object
    meaning: str


def schema() -> dict[str, Any]:
    """The schema of the values as it stands."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


def values() -> list[Value]:
    """Every value in its order. A mapping with a comment of its own is told whole."""
    text = VALUES.read_text()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, yaml.safe_load(text), text.splitlines(), ()))


def _values(
    node: yaml.MappingNode, defaults: dict[str, Any], lines: list[str], path: tuple[str, ...]
) -> Iterator[Value]:
    for key, child in node.value:
        here = (*path, key.value)
        default = defaults[key.value]
        meaning = _comment_above(lines, key.start_mark.line)
        if isinstance(child, yaml.MappingNode) and not meaning:
            yield from _values(child, default, lines, here)
        else:
            yield Value(here, default, meaning)


def _comment_above(lines: list[str], at: int) -> str:
    words: list[str] = []
    while at > 0 and lines[at - 1].lstrip().startswith("#"):
        at -= 1
        words.insert(0, lines[at].lstrip().removeprefix("#").strip())
    return " ".join(words)


def table() -> str:
    """The values as the README shows them."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        default = json.dumps(value.default, ensure_ascii=False) if value.default != "" else ""
        shown = f"`{default}`" if default else ""
        rows.append(f"| `{'.'.join(value.path)}` | {shown} | {value.meaning} |")
    return "\n".join(rows) + "\n"


def readme() -> str:
    """The README with the table as it should be."""
    before, rest = README.read_text().split(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.split(END)[1]}"


def described_schema() -> str:
    """The schema with the words of values.yaml, and the settings of the worker."""
    whole = schema()
    for value in values():
        about = whole
        for name in value.path:
            about = about["properties"][name]
        about["description"] = re.sub(r"[`*]", "", value.meaning)
    settings = whole["properties"]["settings"]
    known = settings["properties"]
    settings["properties"] = {
        row.variable: {
            **known.get(row.variable, {"type": ["string", "number", "boolean"]}),
            "description": row.meaning.replace("`", ""),
        }
        for row in documented_settings()
        if not row.secret and row.variable not in NOT_HERE
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write both, or check them; the exit code."""
    wanted = {SCHEMA: described_schema(), README: readme()}
    stale = [path for path, text in wanted.items() if path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path}: not as `make chart` writes it", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
