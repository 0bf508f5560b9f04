"""Generates every document that repeats the code or values.yaml, and checks them.

`python -m tests.helm.documents` writes the table of values in the chart's README, the descriptions
in values.schema.json, the dashboard, the tables of settings and metrics, and the page of help
texts in docs/reference/. With `--check` it names the stale files and exits with 1.

The comment above a value is its documentation. The settings in the schema are those of the worker:
new settings are added and removed ones are deleted. Numbers, words and switches have the rules of
their parsers. The rules of other settings are written by hand in the schema, and kept.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests import command_line_page, metrics_page, settings_page
from tests.helm import dashboard_source
from worker.settings.parsing import OneOf, Parser, Seconds, WholeNumber, switch
from worker.settings.settings import all_variables

REPOSITORY: Final = Path(__file__).parents[2]
CHART: Final = REPOSITORY / "helm" / "recording-worker"
VALUES: Final = CHART / "values.yaml"
SCHEMA: Final = CHART / "values.schema.json"
README: Final = CHART / "README.md"
BEGIN: Final = "<!-- values: written by `make chart` -->\n"
END: Final = "<!-- end of values -->\n"
DERIVED_SETTINGS: Final = frozenset(
    {"HTTP_PORT", "REALTIMEKIT_ACCOUNT_ID", "REALTIMEKIT_APP_ID"}
    | {"WORKER_APPS_FILE", "WORKER_STORAGE_PROFILES_FILE"}
)
"""Settings that the chart derives from other values."""


ANY_TEXT: Final = {"type": ["string", "number", "boolean"]}
"""The rule of a new setting. YAML writes the text `1` or `true` without quotes."""

MAY_BE_NULL: Final = frozenset({"resources", "podSecurityContext", "securityContext", "keys"})
"""Values that null removes as a whole, although their default is not empty."""


class Value(NamedTuple):
    """A value of the chart: its path, its default and its documentation."""

    path: tuple[str, ...]
    default: object
    meaning: str


def schema() -> dict[str, Any]:
    """The schema of the values as it is in the repository."""
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


def values() -> list[Value]:
    """Every value, in the order of values.yaml. A mapping with a comment is one value."""
    text = VALUES.read_text()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, yaml.safe_load(text), text.splitlines(), ()))


def _values(
    node: yaml.MappingNode, defaults: dict[str, Any], lines: list[str], path: tuple[str, ...]
) -> Iterator[Value]:
    for key, child in node.value:
        child_path = (*path, key.value)
        default = defaults[key.value]
        meaning = _comment_above(lines, key.start_mark.line)
        if isinstance(child, yaml.MappingNode) and not meaning:
            yield from _values(child, default, lines, child_path)
        else:
            yield Value(child_path, default, meaning)


def _comment_above(lines: list[str], line_number: int) -> str:
    comment: list[str] = []
    while line_number > 0 and lines[line_number - 1].lstrip().startswith("#"):
        line_number -= 1
        comment.insert(0, lines[line_number].lstrip().removeprefix("#").strip())
    return " ".join(comment)


def values_table() -> str:
    """The table of values in the README."""
    rows = ["| value | default | meaning |", "|---|---|---|"]
    for value in values():
        default = json.dumps(value.default, ensure_ascii=False) if value.default != "" else ""
        shown = f"`{default}`" if default else ""
        rows.append(f"| `{'.'.join(value.path)}` | {shown} | {value.meaning} |")
    return "\n".join(rows) + "\n"


def generated_readme() -> str:
    """The README with an up-to-date table of values."""
    before, rest = README.read_text().split(BEGIN)
    return f"{before}{BEGIN}{values_table()}{END}{rest.split(END)[1]}"


def generated_schema() -> str:
    """The schema with the descriptions from values.yaml and from the worker's settings."""
    document = schema()
    for value in values():
        described = document
        for name in value.path:
            described = described["properties"][name]
        described["description"] = re.sub(r"[`*]", "", value.meaning)
    for path, names in needed_names().items():
        section = document
        for name in path:
            section = section["properties"][name]
        section["required"] = names
    settings = document["properties"]["settings"]
    settings["properties"] = _settings_properties(settings["properties"])
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def needed_names() -> dict[tuple[str, ...], list[str]]:
    """The values that may not be null, by section. Null is as good as an empty list or mapping."""
    needed: dict[tuple[str, ...], list[str]] = {}
    for value in values():
        for depth in range(len(value.path)):
            section, name = value.path[:depth], value.path[depth]
            is_leaf = depth == len(value.path) - 1
            if is_leaf and (value.default in ([], {}) or name in MAY_BE_NULL):
                continue
            if section[:1] != ("global",) and name != "global":
                needed.setdefault(section, [])
                needed[section] += [] if name in needed[section] else [name]
    return needed


def _settings_properties(known: dict[str, Any]) -> dict[str, Any]:
    return {
        setting.name: {
            **(_rule_of(setting.parse) or known.get(setting.name) or ANY_TEXT),
            "description": setting.meaning.replace("`", ""),
        }
        for setting in all_variables()
        if not setting.secret and setting.name not in DERIVED_SETTINGS
    }


def _rule_of(parse: Parser) -> dict[str, Any] | None:
    """What the parser of a number, a word or a switch accepts; None for other parsers."""
    match parse:
        case WholeNumber(low=low, high=high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case Seconds(low=low, high=high):
            bounds = [int(bound) if bound == int(bound) else bound for bound in (low, high)]
            return {"type": "number", "minimum": bounds[0], "maximum": bounds[1]}
        case OneOf(allowed=allowed):
            return {"enum": list(allowed)}
    return {"enum": ["on", "off", True, False]} if parse is switch else None


def main(arguments: list[str]) -> int:
    """Write all documents, or check them. Return the exit code."""
    generated = {
        SCHEMA: generated_schema(),
        README: generated_readme(),
        settings_page.PAGE: settings_page.page(),
        metrics_page.PAGE: metrics_page.page(),
        command_line_page.PAGE: command_line_page.page(),
        dashboard_source.DASHBOARD: dashboard_source.text(),
    }
    stale = [path for path, text in generated.items() if path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path}: is stale; run `make docs-pages`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(generated[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
