"""The lower bounds of the dependencies are those that `make lowest` tests."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
LOWEST = (PROJECT / "requirements" / "lowest.lock").read_text()
WITHOUT_BOUND = re.compile(r"recording-worker(-sandbox|-schemas)?\b")


def declared(folder: Path) -> list[str]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    dependencies = [
        *project["dependencies"],
        *(dependency for extra in extras for dependency in extra),
    ]
    return [dependency for dependency in dependencies if not WITHOUT_BOUND.match(dependency)]


FOLDERS = (PROJECT, PROJECT / "sandbox", PROJECT / "schemas")
BOUNDS = sorted({bound for folder in FOLDERS for bound in declared(folder)})


def numbers(version: str) -> list[int]:
    """The version without zeros at its end: 3.8 and 3.8.0 are one."""
    parts = [int(part) for part in re.findall(r"\d+", version)]
    while parts[-1:] == [0]:
        parts.pop()
    return parts


@pytest.mark.parametrize("dependency", BOUNDS)
def test_the_lowest_version_that_is_allowed_is_the_one_that_is_tested(dependency: str) -> None:
    match = re.match(r"([\w.-]+)(?:\[\w+\])?(>=|~=|==)([\w.!]+)", dependency)
    assert match, "it has no lower bound"
    locked = re.search(rf"^{match[1]}(?:\[\w+\])?==([\w.!]+)", LOWEST, re.MULTILINE | re.IGNORECASE)
    assert locked, "it is missing from requirements/lowest.lock; run: make lock"
    if not match[1].startswith("types-"):  # their fourth number is the day of the release
        assert numbers(locked[1]) == numbers(match[3])


def test_a_library_has_the_same_lower_bound_in_every_distribution() -> None:
    names = [re.split(r"[^\w.-]", bound)[0] for bound in BOUNDS]
    assert len(names) == len(set(names))
