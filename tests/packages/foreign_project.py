"""A foreign project, whose tests use only the wheels of this repository."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
BARE: Final = ROOT / ".venv-sandbox/bin/python"
"""A Python with pytest and the libraries of the sandbox, without the sandbox itself."""


class Run(msgspec.Struct, frozen=True):
    """How the tests of the project ended."""

    code: int
    out: str


class ForeignProject:
    """A directory with tests, run by a separate Python in which `site` is installed."""

    def __init__(self, directory: Path, python: Path, site: Path | None = None) -> None:
        directory.mkdir()
        (directory / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        self._directory = directory
        self._python = python
        self._site = site

    def test(self, *sources: str, arguments: Sequence[str] = (), **variables: str) -> Run:
        """Run pytest on files of tests, in which every warning is an error."""
        names = [f"test_theirs_{number}.py" for number in range(len(sources))]
        for name, source in zip(names, sources, strict=True):
            (self._directory / name).write_text(source)
        command = [str(self._python), "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        site = {"PYTHONPATH": str(self._site)} if self._site else {}
        ran = subprocess.run(
            [*command, *arguments, *names],
            cwd=self._directory,
            env={**inherited, **site, **variables},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Run(ran.returncode, ran.stdout + ran.stderr)
