"""`python -m recording_schemas.export` writes the generated documents beside the package.

They are json/ (JSON Schema), examples/ and asyncapi.yaml. `--check` writes nothing; the exit code
is then 1 if a file is out of date, missing, or no longer generated. This is a development tool: it
needs PyYAML, which users of the package do not need.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from recording_schemas import asyncapi, examples, json_schema

HOME: Final = Path(__file__).parent.parent
"""The folder that holds the package in a working tree."""

_HEADER: Final = "# Generated from the message types. To change it: make schemas\n"


def generated(home: Path) -> dict[Path, str]:
    """The content of every generated file, by its path under `home`."""
    project = tomllib.loads((home / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    schemas = {Path("json", f"{name}.json"): s for name, s in json_schema.documents().items()}
    bodies = {Path("examples", f"{name}.json"): e for name, e in examples.documents().items()}
    files = {path: _as_json(content) for path, content in {**schemas, **bodies}.items()}
    document = asyncapi.document(project["version"])
    return files | {Path("asyncapi.yaml"): _HEADER + _as_yaml(document)}


def drift(home: Path) -> list[Path]:
    """The files under `home` that are out of date, missing, or no longer generated."""
    files = generated(home)
    existing = {
        path.relative_to(home)
        for folder in ("json", "examples")
        for path in (home / folder).glob("*.json")
    }
    return sorted(
        path
        for path in existing | files.keys()
        if path not in files or _read(home / path) != files[path]
    )


def write(home: Path) -> list[Path]:
    """Bring every generated file under `home` up to date. Returns the files that changed."""
    files = generated(home)
    outdated = drift(home)
    for path in outdated:
        target = home / path
        if path in files:
            target.parent.mkdir(exist_ok=True)
            target.write_text(files[path], encoding="utf-8")
        else:
            target.unlink()
    return outdated


def main(argv: Sequence[str] | None = None, home: Path = HOME) -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m recording_schemas.export")
    parser.add_argument("--check", action="store_true", help="only report what is out of date")
    if not parser.parse_args(argv).check:
        for path in write(home):
            print(f"wrote {home.name}/{path}")
        return 0
    outdated = drift(home)
    for path in outdated:
        print(f"out of date: {home.name}/{path} (run: make schemas)", file=sys.stderr)
    return 1 if outdated else 0


def _as_json(content: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _as_yaml(content: Any) -> str:  # noqa: ANN401 - any JSON value
    return yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and repeats values instead of naming them."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless  # lists are indented below their key
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
