"""The worker starts only with versions of the AMQP libraries that it was tested with."""

import re
import tomllib
from pathlib import Path

import pytest

from worker.broker.aiormq.versions import TESTED_SERIES, check_versions
from worker.domain.errors import UntestedLibrary

ROOT = Path(__file__).parents[4]


def locked_versions() -> dict[str, str]:
    lock = (ROOT / "requirements" / "dev.lock").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))


def next_series(series: str) -> str:
    major, minor = series.split(".")
    return f"{major}.{int(minor) + 1}.0"


def test_the_installed_versions_are_accepted() -> None:
    check_versions()


def test_the_locked_versions_are_accepted() -> None:
    locked = locked_versions()
    check_versions(lambda library: locked[library])


@pytest.mark.parametrize("library", TESTED_SERIES)
def test_the_next_version_above_the_range_is_refused_by_name(library: str) -> None:
    versions = locked_versions() | {library: next_series(TESTED_SERIES[library])}
    with pytest.raises(UntestedLibrary, match=rf"{library} {versions[library]} is installed"):
        check_versions(lambda name: versions[name])


@pytest.mark.parametrize("version", ["10.20.0", "10.1.9", "9.2.1"])
def test_a_version_that_only_looks_similar_is_refused(version: str) -> None:
    with pytest.raises(UntestedLibrary, match="aio-pika"):
        check_versions(lambda library: version if library == "aio-pika" else "0")


def test_pip_gets_the_same_bounds_as_the_check() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(bound.split("~=") for bound in project["dependencies"] if "~=" in bound)
    series = {library: bound.rpartition(".")[0] for library, bound in bounds.items()}
    assert series == TESTED_SERIES
