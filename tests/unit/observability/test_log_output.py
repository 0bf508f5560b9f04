"""Log lines for a reader that is slow, has stopped or is gone."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import pytest
import structlog

from tests.restored_logs import restored_logs
from worker.observability.logs import configure_logs

LINES: Final = 12_000
"""With the filler, more than a pipe and the waiting lines hold."""

FILLER: Final = "x" * 200


class Pipe:
    """The two ends of a pipe."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.stream: TextIO = os.fdopen(writer, "w", encoding=encoding)

    def read(self) -> bytes:
        """All that is in the pipe now."""
        pieces = []
        try:
            while piece := os.read(self.reader, 65_536):
                pieces.append(piece)
        except BlockingIOError:
            pass
        return b"".join(pieces)

    def close_reader(self) -> None:
        """Let the reader go."""
        if self.reader >= 0:
            os.close(self.reader)
            self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    with restored_logs():
        configure_logs(format="json", stream=pipe.stream)
        yield pipe
    pipe.close_reader()
    pipe.stream.close()


def test_lines_that_nobody_reads_block_nobody_and_those_that_were_dropped_are_counted(
    pipe: Pipe,
) -> None:
    log = structlog.get_logger()
    for number in range(LINES):
        log.info("said", number=number, filler=FILLER)
    read = b""
    while b"log_lines_dropped" not in read:
        read += pipe.read()
        log.info("after")
    lines = [json.loads(line) for line in read.splitlines()]
    said = [line["number"] for line in lines if line["event"] == "said"]
    (dropped,) = (line["lines"] for line in lines if line["event"] == "log_lines_dropped")
    assert said == [*range(len(said))]
    assert 0 < LINES - len(said) <= dropped


async def test_a_slow_reader_gets_all_lines_without_a_further_one(pipe: Pipe) -> None:
    for number in range(1_000):
        structlog.get_logger().info("said", number=number, filler=FILLER)
    read = b""
    async with asyncio.timeout(10):
        while read.count(b"\n") < 1_000:
            await asyncio.sleep(0.005)
            read += pipe.read()
    assert [json.loads(line)["number"] for line in read.splitlines()] == [*range(1_000)]


def test_lines_for_a_reader_that_is_gone_leave_nothing_that_fails_at_the_exit(pipe: Pipe) -> None:
    pipe.close_reader()
    structlog.get_logger().warning("said")
    pipe.stream.flush()


def test_a_line_stays_json_if_the_encoding_of_the_output_lacks_a_character() -> None:
    pipe = Pipe(encoding="ascii")
    with restored_logs():
        configure_logs(format="json", stream=pipe.stream)
        structlog.get_logger().warning("said", name="Zoë \U0001f600")
    assert json.loads(pipe.read())["name"] == "Zoë \U0001f600"
    pipe.close_reader()
    pipe.stream.close()


PROGRAM: Final = """
import structlog
from worker.observability.logs import configure_logs
configure_logs(format="json")
for number in range(2_000):
    structlog.get_logger().info("said", number=number, filler="x" * 200)
"""


def test_a_process_ends_although_nobody_reads_its_last_lines() -> None:
    pipe = Pipe()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=pipe.stream) as process:
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()
            pipe.stream.close()
            pipe.close_reader()


FULL_UNTIL_THE_EXIT: Final = """
import atexit, structlog
from worker.observability.logs import configure_logs
configure_logs(format="json")
atexit.register(lambda: print("ready", flush=True))  # called first
log = structlog.get_logger()
for number in range(12_000):
    log.info("said", number=number, filler="x" * 200)
"""


def test_the_number_of_dropped_lines_is_written_at_the_exit_if_the_reader_comes_in_time(
    pipe: Pipe,
) -> None:
    command = [sys.executable, "-c", FULL_UNTIL_THE_EXIT]
    with subprocess.Popen(command, stderr=pipe.stream, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        read = b""
        while process.poll() is None:
            read += pipe.read()
        lines = [json.loads(line) for line in (read + pipe.read()).splitlines()]
    assert [line["event"] for line in lines if line["event"] != "said"] == ["log_lines_dropped"]
    said = [line["number"] for line in lines if line["event"] == "said"]
    assert lines[-1]["lines"] == 12_000 - len(said)


ON_A_FULL_DISK: Final = """
import resource, structlog, sys
from worker.observability.logs import configure_logs
configure_logs(format="json", stream=open(sys.argv[1], "w"))
log = structlog.get_logger()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
for number in range(20):
    log.info("said", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
for number in range(20, 23):
    log.info("said", number=number)
"""


def test_lines_after_a_full_disk_are_whole_and_those_that_it_cost_are_counted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "worker.log"
    subprocess.run([sys.executable, "-c", ON_A_FULL_DISK, file], check=True, timeout=20)
    lines = file.read_text().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    said = [line["number"] for line in whole if line["event"] == "said"]
    (dropped,) = (line["lines"] for line in whole if line["event"] == "log_lines_dropped")
    assert said[-3:] == [20, 21, 22]
    assert len(lines) - len(whole) == 1
    assert dropped == 23 - len(said)


WITH_A_FINALIZER: Final = """
import asyncio, gc, io, structlog
from worker.observability.logs import configure_logs

class Stream(io.StringIO):
    def write(self, text):
        gc.collect()
        return super().write(text)

async def lose_an_exception():
    future = asyncio.get_running_loop().create_future()
    future.set_exception(OSError())
    circle = [future]
    circle.append(circle)
    del future, circle
    structlog.get_logger().warning("said")

gc.disable()
stream = Stream()
configure_logs(format="json", stream=stream)
asyncio.run(lose_an_exception())
print(stream.getvalue())
"""


def test_a_finalizer_may_log_while_a_line_is_written() -> None:
    """asyncio does so for an exception that was never retrieved."""
    command = [sys.executable, "-c", WITH_A_FINALIZER]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=20)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines() if line]
    assert [event.partition("\n")[0] for event in events] == [
        "said",
        "Future exception was never retrieved",
    ]
