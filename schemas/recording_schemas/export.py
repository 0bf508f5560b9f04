"""`python -m recording_schemas.export --to DIR` writes JSON Schema, examples, AsyncAPI and pages.

They are json/, examples/, asyncapi.yaml, errors.md and messages.md. In a working tree no DIR is
needed: the documents are then written next to the package, the pages into docs/reference. `--check`
writes nothing; the exit code is then 1 if a file is out of date, missing, or no longer generated.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from recording_schemas import asyncapi, error_page, examples, json_schema, message_page
from recording_schemas.yaml_format import to_yaml

HOME: Final = Path(__file__).parent.parent
"""The folder that holds the package in a working tree."""

DISTRIBUTION: Final = "recording-worker-schemas"

_HEADER: Final = "# Generated from the message types. To change it: make schemas\n"
_DOCS_IN_TREE: Final = Path("..", "docs")


def generated(home: Path) -> dict[Path, str]:
    """The content of every generated file, by its path under `home`."""
    schemas = {Path("json", f"{name}.json"): s for name, s in json_schema.documents().items()}
    bodies = {Path("examples", f"{name}.json"): e for name, e in examples.documents().items()}
    files = {path: _as_json(content) for path, content in {**schemas, **bodies}.items()}
    document = asyncapi.document(_version(home))
    is_tree = _is_tree(home)
    docs = _DOCS_IN_TREE if is_tree else Path()
    reference = _DOCS_IN_TREE / "reference" if is_tree else Path()
    return files | {
        Path("asyncapi.yaml"): _HEADER + to_yaml(document),
        docs / "errors.md": error_page.page(),
        reference / "messages.md": message_page.page(),
    }


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
            target.parent.mkdir(exist_ok=True, parents=True)
            target.write_text(files[path], encoding="utf-8")
        else:
            target.unlink()
    return outdated


def main(argv: Sequence[str] | None = None, home: Path = HOME) -> int:
    """Run the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m recording_schemas.export")
    parser.add_argument("--check", action="store_true", help="only report what is out of date")
    parser.add_argument("--to", type=Path, metavar="DIR", help="the folder to write to")
    options = parser.parse_args(argv)
    if options.to is None and not _is_tree(home):
        parser.error("--to is needed, because this is not the working tree of the package")
    target = options.to or home
    if not options.check:
        for path in write(target):
            print(f"wrote {_name(target, path)}")
        return 0
    outdated = drift(target)
    for path in outdated:
        print(f"out of date: {_name(target, path)} (run: make schemas)", file=sys.stderr)
    return 1 if outdated else 0


def _name(target: Path, path: Path) -> str:
    return os.path.normpath(Path(target.name, path))


def _is_tree(home: Path) -> bool:
    return (home / "recording_schemas").is_dir() and (home / "pyproject.toml").is_file()


def _version(home: Path) -> str:
    """The version of the package. An editable installation may still have an older one."""
    for folder in (home, HOME):
        if _is_tree(folder):
            project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
            return str(project["project"]["version"])
    return version(DISTRIBUTION)


def _as_json(content: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
