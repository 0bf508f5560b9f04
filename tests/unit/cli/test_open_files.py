"""The limit of open files, which container runtimes set too low."""

import subprocess
import sys
from typing import Final

import pytest

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
