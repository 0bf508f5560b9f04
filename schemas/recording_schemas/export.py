"""`python -m recording_schemas.export` writes the generated documents beside the package.

They are json/ (JSON Schema), examples/ and asyncapi.yaml. With `--check` nothing is written, and
the exit code is 1 if a file differs from what would be, is missing, or is not generated any more.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from recording_schemas import asyncapi, examples, json_schema
from recording_schemas.yaml import to_yaml

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
    return files | {Path("asyncapi.yaml"): _HEADER + to_yaml(document)}


def drift(home: Path) -> list[Path]:
    """The files under `home` that are not as they would be generated, nor meant to be there."""
    files = generated(home)
    there = {
        path.relative_to(home)
        for folder in ("json", "examples")
        for path in (home / folder).glob("*.json")
    }
    return sorted(
        path
        for path in there | files.keys()
        if path not in files or _read(home / path) != files[path]
    )


def write(home: Path) -> list[Path]:
    """Bring every generated file under `home` up to date; returns those that were not."""
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
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m recording_schemas.export")
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
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


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
