"""The image of the Dockerfile: its steps, and the results of running them."""

import os
import re
import signal
import tomllib
from pathlib import Path
from typing import Final

import pytest

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import Eventually
from tests.image.bubblewrap_build import BuiltStage, build_stages
from tests.image.dockerfile_parser import PROJECT, read_stages, sent_to_build

STAGES: Final = read_stages((PROJECT / "Dockerfile").read_text())
FINAL: Final = STAGES[-1]
ENTRYPOINT: Final = FINAL.only("ENTRYPOINT").arguments
COMMAND: Final = FINAL.only("CMD").arguments
HEALTH: Final = FINAL.only("HEALTHCHECK").arguments
UNCHECKED_HASH: Final = 0b01
"""The flag of a .pyc that is used without a check of its source."""


SETTINGS: Final = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token",
    "REALTIMEKIT_BASE_URL": "http://127.0.0.1:1/client/v4",
}


# One test, because the steps take half a minute, and each of several could run in another process.
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("bubblewrap")
async def test_the_result_of_the_steps_works_read_only_without_root_and_is_reproducible(
    amqp_url: str, names_prefix: str, tmp_path: Path, eventually: Eventually
) -> None:
    stages = build_stages(STAGES, tmp_path / "stages")
    image = stages[""]
    answers_on_the_command_line(image)
    writes_nothing_but_its_state(image)
    has_all_it_needs_and_nothing_it_was_made_with(image, stages["build"])
    has_bytecode_that_depends_on_no_times(image)
    makes_the_same_wheels_again(stages["build"])
    environ = {**SETTINGS, "AMQP_URL": amqp_url, "WORKER_NAME_PREFIX": names_prefix}
    await is_healthy_while_it_works_and_ends_by_sigterm(image, environ, tmp_path, eventually)


def answers_on_the_command_line(image: BuiltStage) -> None:
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]

    printed = image.run(*ENTRYPOINT, "--version")
    checked = image.run(*ENTRYPOINT, "config", "check", **SETTINGS)

    assert (printed.returncode, printed.stdout.split()[-1]) == (0, version), printed.stderr
    assert checked.returncode == 0, checked.stderr


def writes_nothing_but_its_state(image: BuiltStage) -> None:
    script = "import os; print(os.getuid()); open('x', 'w'); open('/x', 'w')"

    wrote = image.run("python", "-c", script)

    assert wrote.stdout.split() == ["10001"]
    assert "Read-only file system: '/x'" in wrote.stderr


def has_all_it_needs_and_nothing_it_was_made_with(image: BuiltStage, made_in: BuiltStage) -> None:
    checked = made_in.run("/build/bin/pip", "--python", "/app/bin/python", "check")
    traced = image.run("python", "-c", "import opentelemetry.exporter.otlp.proto.http")
    built_with = image.run("python", "-c", "import hatchling")

    assert checked.returncode == 0, checked.stdout
    assert traced.returncode == 0, traced.stderr
    assert "No module named 'hatchling'" in built_with.stderr


def has_bytecode_that_depends_on_no_times(image: BuiltStage) -> None:
    packages = next((image.root / "app" / "lib").glob("python3*/site-packages"))
    sources = {path.stem for path in (packages / "worker").glob("*.py")}
    compiled = {path.name.partition(".")[0] for path in packages.glob("worker/__pycache__/*")}

    assert compiled == sources
    for path in packages.rglob("*.pyc"):
        assert int.from_bytes(path.read_bytes()[4:8], "little") == UNCHECKED_HASH, path


def makes_the_same_wheels_again(made_in: BuiltStage) -> None:
    (step,) = [step for step in STAGES[0].of("RUN") if "pip wheel" in step.words]
    wheels = made_in.root / "wheels"
    first = {path.name: path.read_bytes() for path in wheels.iterdir()}
    for path in (made_in.root / "src").rglob("*.py"):
        path.touch()

    made_in.step(step, {})

    assert len(first) == 3
    assert {path.name: path.read_bytes() for path in wheels.iterdir()} == first


async def is_healthy_while_it_works_and_ends_by_sigterm(
    image: BuiltStage, environ: dict[str, str], directory: Path, eventually: Eventually
) -> None:
    (port,) = free_ports(1)
    where = {"HTTP_PORT": str(port)}
    log = directory / "worker.log"
    assert image.run(*HEALTH, **where).returncode != 0
    command = image.command([*ENTRYPOINT, *COMMAND], environ=environ | where)
    worker = OwnedProcess(command, environ={"PATH": os.environ["PATH"]}, log=log)
    try:
        await eventually(
            lambda: image.run(*HEALTH, **where).returncode == 0 or not worker.running, seconds=60
        )
        assert worker.running, worker.log_tail()
        children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)
        await eventually(lambda: not worker.running, seconds=60)
        assert worker.exit_code == 0, worker.log_tail()
    finally:
        worker.kill()
    assert (image.root / "var/lib/recording-worker/recording-worker.db").exists()


def test_only_the_parts_of_the_image_are_sent_to_the_build() -> None:
    rules = (PROJECT / ".dockerignore").read_text()
    kept = [
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "requirements/run.lock",
        "worker/app.py",
        "worker/store/migrations/versions/0017_first_release.py",
        "sandbox/README.md",
        "sandbox/recording_sandbox/cli.py",
        "schemas/LICENSE",
        "schemas/json/stop_recording.json",
        "schemas/recording_schemas/py.typed",
    ]
    left_out = [
        ".env",
        ".git/config",
        ".venv/bin/python",
        "worker/.env",
        "worker/__pycache__/app.cpython-311.pyc",
        "requirements/dev.lock",
        "recording-worker.db",
        "workers/secret",
        "tests/conftest.py",
    ]

    assert sent_to_build(kept + left_out, rules) == kept


def test_every_package_is_locked_by_hash_and_every_base_by_a_whole_version() -> None:
    installs = [
        command
        for stage in STAGES
        for step in stage.of("RUN")
        for command in step.words.split("&&")
        if "pip" in command and " install" in command
    ]

    assert installs
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command
    for stage in STAGES:
        assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-slim-[a-z]+", stage.base)


def test_the_image_is_started_without_a_shell_by_the_user_of_the_chart() -> None:
    values = (PROJECT / "helm" / "recording-worker" / "values.yaml").read_text()

    assert FINAL.only("USER").words == "10001:10001"
    assert [step.flags["chown"] for step in FINAL.of("COPY") if "/state" in step.words] == [
        "10001:10001"
    ]
    assert "runAsUser: 10001" in values
    assert all(FINAL.only(name).is_exec for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))
    assert {name.rpartition(".")[2] for step in FINAL.of("LABEL") for name in step.pairs} >= {
        "title",
        "licenses",
        "version",
        "revision",
    }
