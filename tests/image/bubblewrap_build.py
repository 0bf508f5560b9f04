"""Runs the steps of the Dockerfile without a container engine.

bubblewrap gives each stage a separate root, with this machine's programs and Python instead of the
base image. The steps are those of the file, word for word. Packages are installed from `wheels` in
this environment, which `make test` fills, or else by this machine's pip configuration. All steps
run in user namespaces in which our files belong to the stage's user, so owners do not change.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.image.dockerfile_parser import PROJECT, Stage, Step, build_context

SYSTEM_DIRECTORIES: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
CONFIGURATION_FILES: Final = tuple(
    f"/etc/{name}" for name in ("ssl", "hosts", "resolv.conf", "nsswitch.conf", "pip.conf")
)
PYTHON: Final = Path(sys.base_prefix)
INTERPRETER: Final = PYTHON / "bin" / "python{}.{}".format(*sys.version_info)
PROGRAMS: Final = "/base/bin"  # not every machine calls its Python `python`, as base images do
WHEELS: Final = Path(sys.prefix) / "wheels"
DOWNLOADED: Final = WHEELS / ".downloaded"
PASSED_VARIABLES: Final = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy")


class BuiltStage:
    """A stage whose steps have been run; `root` is its file system."""

    def __init__(self, stage: Stage, root: Path) -> None:
        self.root = root
        self.stage = stage
        self.environ = {"PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin"}
        self._arguments: dict[str, str] = {}
        self.directory = "/"
        self.user = "0:0"
        for step in ("tmp", "root", "etc", "proc", "dev"):
            (root / step).mkdir(parents=True)
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\n")
        python = self._inside(PROGRAMS) / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec {INTERPRETER} "$@"\n')
        python.chmod(0o755)
        for place in map(Path, SYSTEM_DIRECTORIES):
            if place.is_symlink():
                root.joinpath(*place.parts[1:]).symlink_to(place.readlink())

    def step(self, step: Step, others: Mapping[str, "BuiltStage"]) -> None:
        """Execute an instruction."""
        match step.name:
            case "ENV":
                self.environ |= step.pairs
            case "ARG":
                self._arguments |= step.pairs
            case "WORKDIR":
                self.directory = step.words
                self._inside(step.words).mkdir(parents=True, exist_ok=True)
            case "USER":
                self.user = step.words
            case "COPY":
                self._copy(step, others)
            case "RUN":
                done = subprocess.run(
                    self.command(["/bin/sh", "-c", step.words], while_building=True),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{step.words}\n{done.stdout}\n{done.stderr}"

    def command(
        self,
        words: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        while_building: bool = False,
    ) -> list[str]:
        """A process in this file system: while it is built, or as the image's user, read-only."""
        uid, _, gid = self.user.partition(":")
        options = ["bwrap", "--die-with-parent", "--unshare-user", "--uid", uid, "--gid", gid]
        options += ["--bind" if while_building else "--ro-bind", str(self.root), "/"]
        for place in filter(
            Path.exists, map(Path, (*SYSTEM_DIRECTORIES, *CONFIGURATION_FILES, str(PYTHON)))
        ):
            if not place.is_symlink() and (while_building or self._inside(str(place)).exists()):
                options += ["--ro-bind", str(place), str(place)]
        options += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108
        options += ["--chdir", self.directory, "--clearenv"]
        if while_building and DOWNLOADED.exists():
            options += ["--dir", str(WHEELS), "--ro-bind", str(WHEELS), str(WHEELS)]
        if not while_building:
            state = self._inside(self.directory)
            options += ["--bind", str(state), self.directory]
        passed = {**self.environ, **(environ or {})}
        if while_building:
            passed |= {**self._arguments, **_downloads()}
        for name, value in passed.items():
            options += ["--setenv", name, value]
        return [*options, "--", *words]

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run words to their end, as the image's user."""
        command = self.command(words, environ=environ)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def _inside(self, path: str) -> Path:
        return self.root.joinpath(*Path(self.directory, path).parts[1:])

    def _copy(self, step: Step, others: Mapping[str, "BuiltStage"]) -> None:
        *sources, target = step.arguments
        into = self._inside(target)
        for source in sources:
            if origin := step.flags.get("from"):
                _copy_one(others[origin]._inside(source), into)
                continue
            for path in build_context():
                if path == source:
                    _copy_one(PROJECT / path, into / Path(path).name)
                elif path.startswith(f"{source}/"):
                    _copy_one(PROJECT / path, into / path.removeprefix(f"{source}/"))


def build_stages(stages: Sequence[Stage], directory: Path) -> dict[str, BuiltStage]:
    """Run all stages, one after the other, by their names."""
    built: dict[str, BuiltStage] = {}
    for number, stage in enumerate(stages):
        built[stage.name] = made = BuiltStage(stage, directory / str(number))
        for step in stage.steps:
            made.step(step, built)
    return built


def _copy_one(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, symlinks=True, dirs_exist_ok=True, copy_function=os.link
        )  # no step changes what another stage has made
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _downloads() -> dict[str, str]:
    """How pip finds packages: an index costs ten seconds of CPU."""
    found = {name: value for name, value in os.environ.items() if name.startswith(PASSED_VARIABLES)}
    if DOWNLOADED.exists():
        found |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(WHEELS)}
    return found
