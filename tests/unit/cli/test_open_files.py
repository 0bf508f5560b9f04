"""The limit of open files, which container runtimes set too low."""

import resource
import subprocess
import sys
from typing import Final

import pytest

from worker.cli.open_files import raise_file_limit

RUN: Final = """
import resource, sys
from worker.__main__ import main
soft, hard = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
try:
    main(["run"])
except SystemExit as error:
    print(error.code, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [(1024, 8192, 4096), (1024, 2048, 2048), (8000, 8192, 8000)]
)
def test_run_raises_the_soft_limit_of_open_files_as_far_as_it_needs_and_may(
    soft: int, hard: int, expected: int
) -> None:
    program = [sys.executable, "-c", RUN, str(soft), str(hard)]
    ended = subprocess.run(program, env={}, capture_output=True, text=True, check=False, timeout=30)
    assert ended.stdout.split() == ["2", str(expected), str(hard)], ended.stderr


@pytest.mark.parametrize("call", ["getrlimit", "setrlimit"])
def test_a_system_that_forbids_to_raise_the_limit_does_not_stop_the_worker(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_arguments: object) -> tuple[int, int]:
        raise PermissionError

    monkeypatch.setattr(resource, "getrlimit", lambda _limit: (16, 8192))
    monkeypatch.setattr(resource, call, refuse)
    raise_file_limit()
