"""Compares the pages for operators with the project: an error would be found during an incident."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.command_line_page import root_context
from worker.cli.root import root
from worker.settings.settings import all_variables

PROJECT = Path(__file__).parents[3]
CHART = PROJECT / "helm" / "recording-worker"
HOW_TO = PROJECT / "docs" / "how-to"
RUNBOOKS = (HOW_TO / "operations.md").read_text()
PAGES = ("deploy", "upgrade", "back-up", "rotate-secrets", "move-to-postgresql")
TEXT = "\n".join([RUNBOOKS, *((HOW_TO / f"{page}.md").read_text() for page in PAGES)])
ALERTS = [
    rule
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


def anchor(title: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def blocks(language: str) -> list[str]:
    """The code in the document, without the indentation of lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def command_lines() -> Iterator[list[str]]:
    """Each command line, in words: those of the blocks, and those within sentences."""
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").split("\n"):
            if re.match(r"\s*(\w+=\S+ )*(recording-worker|helm|make) ", line):
                yield shlex.split(line)
    for line in re.findall(r"`([^`]*\brecording-worker [^`]*)`", re.sub(r"\s*\n\s*", " ", TEXT)):
        if re.match(r"(\w+=\S+ )*recording-worker ", line):
            yield shlex.split(line)


def program_lines() -> list[list[str]]:
    """Arguments of `recording-worker`, those of pods in manifests included."""
    lines = [
        words[words.index("recording-worker") + 1 :]
        for words in command_lines()
        if words[0] not in {"helm", "make"}
    ]
    for block in blocks("yaml"):
        for container in yaml.safe_load(block)["spec"]["template"]["spec"]["containers"]:
            program, *command = container["command"]
            assert program == "recording-worker"
            lines.append([*command, *container["args"]])
    return lines


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_leads_to_its_section(alert: dict[str, Any]) -> None:
    section = alert["annotations"]["runbook_url"].partition("#")[2]

    assert section == anchor(alert["alert"])
    assert f"### {alert['alert']}\n" in RUNBOOKS


def test_every_section_is_of_an_alert_that_there_is() -> None:
    assert re.findall(r"^### (.*)$", RUNBOOKS, re.MULTILINE) == [alert["alert"] for alert in ALERTS]


def test_every_line_of_status_that_may_not_be_ok_leads_to_a_section() -> None:
    source = (PROJECT / "worker" / "cli" / "status" / "checks.py").read_text()
    wiring = (PROJECT / "worker" / "bootstrap.py").read_text()
    lines = {*re.findall(r'(?:name=|_named\()"([a-z ]+)"', source)}
    lines |= {*re.findall(r'^ +"([a-z]+)": lambda: self\.', wiring, re.MULTILINE)}
    table = RUNBOOKS.partition("| line | continue at |")[2].partition("\n\n")[0]
    listed = {
        name for row in table.split("\n|") for name in re.findall("`([^`]+)`", row.split("|")[0])
    }

    assert {"outbox", "consuming", "dead letters"} <= lines
    assert lines - {"recordings", "waiting"} == listed  # these two are always ok


@pytest.mark.parametrize("words", program_lines(), ids=" ".join)
def test_every_command_line_is_one_that_the_program_takes(words: list[str]) -> None:
    command: click.Command = root
    context = root_context()
    while words and not words[0].startswith("-") and isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)

    if words or not isinstance(command, click.Group):
        command.make_context(context.info_name, list(words), parent=context.parent)


def test_every_value_that_is_set_is_one_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    sets = re.findall(r"--set ([^\s]+)", TEXT)
    named = [
        assignment.partition("=")[0]
        for assignments in sets
        for assignment in assignments.split(",")
    ]
    named += re.findall(r"`((?:networkPolicy|metrics)\.[\w.]+)`", TEXT)

    assert len(named) > 8
    for path in named:
        value: Any = values
        for step in path.split("."):
            assert step in value, path
            value = value[step]


def test_every_setting_and_every_metric_that_is_named_exists() -> None:
    settings = {row.name for row in all_variables()}
    modules = (PROJECT / "worker" / "observability").glob("*metrics.py")
    code = "".join(module.read_text() for module in modules)

    named = set(re.findall(r"\b(?:WORKER|REALTIMEKIT|HTTP|LOG)_[A-Z_]+\b", TEXT))
    metrics = set(re.findall(r"\brecording_worker_([a-z_]+)", TEXT))

    assert named <= settings
    assert metrics
    assert not [name for name in metrics if f'"{name.removesuffix("_total")}"' not in code]


def test_every_log_line_that_a_runbook_names_is_one_that_the_worker_writes() -> None:
    source = "\n".join(path.read_text() for path in (PROJECT / "worker").rglob("*.py"))
    text = " ".join(RUNBOOKS.split())

    lists = re.findall(r"[Ll]og lines? ((?:`\w+`(?:,? and |, )?)+)", text)
    named = {name for names in lists for name in re.findall(r"`(\w+)`", names)}

    assert {"event_publish_failed", "sweep_failed", "refresh_failed"} <= named
    assert [name for name in named if f'"{name}"' not in source] == []
