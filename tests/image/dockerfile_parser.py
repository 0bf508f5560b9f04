"""Parses the Dockerfile, as far as needed, and the paths that .dockerignore leaves of a
checkout."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

PROJECT: Final = Path(__file__).parents[2]


class Step(msgspec.Struct, frozen=True):
    """One instruction: its name, the flags, and the rest of its text."""

    name: str
    flags: dict[str, str]
    words: str

    @property
    def arguments(self) -> list[str]:
        """The words: of JSON, or split as a shell does."""
        found: list[str] = json.loads(self.words) if self.is_exec else shlex.split(self.words)
        return found

    @property
    def pairs(self) -> dict[str, str]:
        """The names and values of `ENV`, `ARG` or `LABEL`. A missing value is empty."""
        return {
            name: value
            for name, _, value in (argument.partition("=") for argument in self.arguments)
        }

    @property
    def is_exec(self) -> bool:
        """Whether it runs without a shell."""
        return self.words.startswith("[")


class Stage(msgspec.Struct, frozen=True):
    """What one FROM makes. The name of the last is empty."""

    base: str
    name: str
    steps: tuple[Step, ...]

    def of(self, name: str) -> list[Step]:
        """The steps by this name."""
        return [step for step in self.steps if step.name == name]

    def only(self, name: str) -> Step:
        """The single one by this name."""
        (step,) = self.of(name)
        return step


def read_stages(text: str) -> tuple[Stage, ...]:
    """The stages of a Dockerfile; the defaults of the ARGs before them are put into their FROM."""
    defaults: dict[str, str] = {}
    stages: list[Stage] = []
    for step in _steps(text):
        if step.name == "FROM":
            base, _, name = step.words.partition(" AS ")
            for variable, value in defaults.items():
                base = base.replace(f"${{{variable}}}", value)
            stages.append(Stage(base, name, ()))
        elif stages:
            last = stages[-1]
            stages[-1] = msgspec.structs.replace(last, steps=(*last.steps, step))
        else:
            defaults |= step.pairs
    return tuple(stages)


def _steps(text: str) -> Iterator[Step]:
    whole = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(str.strip, whole.splitlines()):
        name, _, rest = line.partition(" ")
        flags: dict[str, str] = {}
        while found := re.match(r"\s*--([a-z-]+)=(\S+)\s*", rest):
            flags[found[1]] = found[2]
            rest = rest[found.end() :]
        if name == "HEALTHCHECK":
            rest = rest.removeprefix("CMD ")
        yield Step(name, flags, rest.strip())


def sent_to_build(paths: list[str], rules: str) -> list[str]:
    """The paths that a .dockerignore leaves in. The last matching rule counts."""
    patterns = [
        (line.removeprefix("!"), line.startswith("!"))
        for line in rules.splitlines()
        if line and not line.startswith("#")
    ]
    return [path for path in paths if _is_sent(path, patterns)]


def _is_sent(path: str, patterns: list[tuple[str, bool]]) -> bool:
    sent = True
    for pattern, back in patterns:
        steps = [_expression(step) for step in pattern.split("/")]
        # A rule that matches a folder applies to everything in it.
        if re.match("".join(steps).rstrip("/") + "(/|$)", path):
            sent = back
    return sent


def _expression(step: str) -> str:
    return "(?:.*/)?" if step == "**" else re.escape(step).replace(r"\*", "[^/]*") + "/"


def build_context() -> list[str]:
    """The files of this checkout, new ones included, that a build is sent."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [path for path in found.stdout.splitlines() if (PROJECT / path).is_file()]
    return sent_to_build(files, (PROJECT / ".dockerignore").read_text())
