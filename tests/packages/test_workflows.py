"""The workflows of the forge, which run nowhere else: their schema, pins, rights and commands."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.packages.foreign_project import ROOT

WORKFLOWS: Final = sorted((ROOT / ".github/workflows").glob("*.yml"))
CHECKER: Final = ROOT / ".venv-integrations/bin/check-jsonschema"
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text())["jobs"].values())


def commands(path: Path) -> str:
    return "\n".join(step.get("run", "") for job in jobs(path) for step in job["steps"])


def test_every_workflow_is_valid_by_its_published_schema() -> None:
    assert WORKFLOWS
    checked = subprocess.run(
        [CHECKER, "--builtin-schema", "vendor.github-workflows", *WORKFLOWS],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout


@every_workflow
def test_an_action_is_pinned_by_a_commit_and_names_its_version(path: Path) -> None:
    uses = re.findall(r"uses: (.*)", path.read_text())

    assert uses
    assert not [use for use in uses if not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v[\d.]+", use)]


@every_workflow
def test_a_job_has_no_right_that_it_does_not_name_and_a_deadline(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    assert all(job["timeout-minutes"] and job["permissions"] for job in jobs(path))


@every_workflow
def test_no_expression_of_an_event_is_pasted_into_a_shell(path: Path) -> None:
    pasted = re.findall(r"\$\{\{ *([\w.]+)", commands(path))

    assert {expression.split(".")[0] for expression in pasted} <= {"matrix"}


@every_workflow
def test_a_workflow_runs_targets_and_scripts_that_exist(path: Path) -> None:
    text = commands(path)
    targets = {
        word
        for line in re.findall(r"^\s*make ([a-z -]+?)(?= [A-Z]|$)", text, re.MULTILINE)
        for word in line.split()
    }
    scripts = [ROOT / script for script in re.findall(r"\.ci/[\w-]+", text)]

    assert targets <= TARGETS
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_the_targets_of_the_bounds_exist() -> None:
    (bounds,) = (job for job in jobs(ROOT / ".github/workflows/ci.yml") if "strategy" in job)

    assert {job["target"].split()[0] for job in bounds["strategy"]["matrix"]["include"]} <= TARGETS


RELEASED: Final = (
    "CHANGELOG.md",
    "pyproject.toml",
    "sandbox/pyproject.toml",
    "schemas/pyproject.toml",
    "helm/recording-worker/Chart.yaml",
    ".ci/check-release",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `.ci/check-release` reads, with the date of a release."""
    for name in RELEASED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("(unreleased)", "(2026-12-24)", 1))
    return tmp_path


def check(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / ".ci/check-release", *arguments], capture_output=True, text=True, check=False
    )


def test_a_release_whose_versions_and_changelog_agree_is_accepted(tree: Path) -> None:
    checked = check(tree, "v0.1.0", "--notes")

    assert checked.returncode == 0, checked.stderr
    assert "### Added" in checked.stdout
    assert "## 0.1.0" not in checked.stdout


@pytest.mark.parametrize("name", [name for name in RELEASED if "." in name and ".ci" not in name])
def test_a_file_that_has_another_version_is_named(tree: Path, name: str) -> None:
    file = tree / name
    file.write_text(file.read_text().replace("0.1.0", "0.0.9", 1))

    checked = check(tree, "v0.1.0")

    assert checked.returncode == 1
    assert name in checked.stderr


def test_a_changelog_without_a_date_is_refused() -> None:
    assert "CHANGELOG.md" in check(ROOT, "v0.1.0").stderr
