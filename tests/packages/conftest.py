"""The wheels of the distributions, built once for all tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packages.foreign_project import BARE, ROOT, ForeignProject


@pytest.fixture(scope="session")
def sandbox_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which only the wheel of the sandbox is installed."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*pip, *build, str(ROOT / "sandbox")], check=True)
    (wheel,) = wheels.iterdir()
    install = ["install", "--no-deps", "--no-index", "--no-compile", "--target", str(site)]
    subprocess.run([*pip, *install, str(wheel)], check=True)
    return site


@pytest.fixture
def foreign_project(tmp_path: Path, sandbox_site: Path) -> ForeignProject:
    """A project with the sandbox and pytest, without the worker."""
    return ForeignProject(tmp_path / "theirs", BARE, sandbox_site)
