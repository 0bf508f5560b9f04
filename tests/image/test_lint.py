"""Hadolint, with the ShellCheck that is in it, finds nothing to say about the Dockerfile."""

import subprocess
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from tests.image.dockerfile_parser import PROJECT

HADOLINT: Final = Path(sysconfig.get_path("scripts")) / "hadolint"
DOCKERFILE: Final = (PROJECT / "Dockerfile").read_text()


def findings(dockerfile: str) -> str:
    """The linter's findings, including style; no configuration or pragma suppresses any."""
    command = [
        str(HADOLINT),
        "--no-color",
        "--failure-threshold=style",
        "--disable-ignore-pragma",
        "-",
    ]
    done = subprocess.run(
        command, input=dockerfile, capture_output=True, text=True, env={}, check=False
    )
    assert done.stderr == ""
    assert (done.returncode == 0) == (done.stdout == "")
    return done.stdout


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    assert findings(DOCKERFILE) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("\nFROM ${PYTHON_IMAGE}\n", "\nFROM python:latest\n", "DL3007"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ("&& mkdir /state", "&& mkdir $HOME/state", "SC2086"),
        ("RUN python", "RUN sudo python", "DL3004"),
    ],
)
def test_hadolint_reports_a_fault(right: str, wrong: str, rule: str) -> None:
    assert right in DOCKERFILE
    assert rule in findings(DOCKERFILE.replace(right, wrong))
