"""make takes an interpreter of the version that python3 has, and never fails to name one."""

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
VERSION = "import ensurepip, venv, sys; print(*sys.version_info[:2], sep='.')"


def chosen_by_make(**environ: str) -> str:
    words = ["make", "-s", "--eval", "chosen:;@echo '$(PYTHON)'", "chosen"]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    made = subprocess.run(
        words, cwd=PROJECT, env=inherited | environ, capture_output=True, text=True, check=True
    )
    assert made.stderr == ""
    return made.stdout.strip()


def test_the_chosen_python_has_the_version_of_python3() -> None:
    versions = [
        subprocess.run(
            [python, "-c", VERSION], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for python in (chosen_by_make(), "python3")
    ]

    assert versions[0] == versions[1]


@pytest.mark.parametrize("script", ["echo 9.99", "exit 1"])
def test_a_python3_without_a_like_of_the_distribution_is_taken_itself(
    script: str, tmp_path: Path
) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)

    assert chosen_by_make(PATH=f"{tmp_path}:{os.environ['PATH']}") == "python3"


def test_a_python_that_is_named_is_taken() -> None:
    assert chosen_by_make(PYTHON="python3.13") == "python3.13"
