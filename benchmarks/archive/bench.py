"""`python -m benchmarks.archive.bench`: copy files from a URL to S3 in four ways, in one run."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.archive.servers import remove_copies, servers
from benchmarks.process_usage import usage_of_session
from benchmarks.report import Table, markdown, replace_section

SAMPLE_SECONDS: Final = 0.05
AT_ONCE: Final = (1, 4)
MIN_FILES: Final = 4
MIN_MEGABYTES: Final = 512
"""Rounds with small files have more files, so that each round takes seconds."""

COPY_URL: Final = '"$RCLONE" copyurl "$URL" "dest:$BUCKET/copies/$1"'
PROVED: Final = (
    f'{COPY_URL} && "$RCLONE" hashsum SHA256 --download "dest:$BUCKET/copies/$1" > /dev/null'
)
CURL: Final = (
    'f=$(mktemp -p "$FILES") && curl -sSf -o "$f" "$URL"'
    ' && "$RCLONE" copyto "$f" "dest:$BUCKET/copies/$1"; rm "$f"'
)
WAYS: Final = {
    "recording-worker": None,
    "`rclone copyurl`": COPY_URL,
    "`rclone copyurl`, then the copy's SHA-256": PROVED,
    "curl to a file, then `rclone copyto`": CURL,
}
"""What each contestant does with a file; None: the worker's own way."""


class Copied(msgspec.Struct, frozen=True):
    """One contestant in one round: `megabytes` of each of `files`, seconds, CPU, bytes of memory.

    `memory` is the most that all processes had together. `checksums` is the CPU that a GB takes for
    SHA-256 and MD5 alone, in the same process; None if it is not known.
    """

    way: str
    megabytes: int
    files: int
    at_once: int
    seconds: float
    cpu: float
    memory: int
    checksums: float | None = None

    @property
    def total(self) -> int:
        """The megabytes of all files."""
        return self.megabytes * self.files


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it into a page."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="archive-bench-") as folder:
        rounds = list(_measure(Path(folder), options))
    made = table(rounds)
    print(markdown(made))
    if options.docs:
        body = f"{markdown(made)}\n\nMedians of {options.rounds} rounds."
        replace_section(options.docs, "archive", "make bench-archive", body)


def table(rounds: Sequence[Copied]) -> Table:
    """A row for each size of files, number of files at once, and way."""
    head = (
        *("", "a file, MB", "files at once", "MB/s", "CPU seconds per GB"),
        *("of it checksums", "most memory, MB"),
    )
    kinds = sorted({(copied.megabytes, copied.at_once) for copied in rounds})
    return [head, *(_row(rounds, way, *kind) for kind in kinds for way in WAYS)]


def _row(rounds: Sequence[Copied], way: str, megabytes: int, at_once: int) -> tuple[str, ...]:
    kind = (way, megabytes, at_once)
    chosen = [copied for copied in rounds if (copied.way, copied.megabytes, copied.at_once) == kind]
    speed = statistics.median(copied.total / copied.seconds for copied in chosen)
    cpu = statistics.median(copied.cpu / copied.total * 1000 for copied in chosen)
    memory = statistics.median(copied.memory for copied in chosen) / 2**20
    checksum_seconds = [copied.checksums for copied in chosen if copied.checksums is not None]
    checksums = f"{statistics.median(checksum_seconds):.1f}" if checksum_seconds else ""
    figures = (f"{speed:.0f}", f"{cpu:.1f}", checksums, f"{memory:.0f}")
    return way, str(megabytes), str(at_once), *figures


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--megabytes",
        type=lambda text: [int(size) for size in text.split(",")],
        default=[32, 256],
        help="the sizes of the files, with commas",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=Path, help="the page to write the table into")
    return parser.parse_args(arguments)


def _measure(folder: Path, options: argparse.Namespace) -> Iterator[Copied]:
    (folder / "files").mkdir()
    for megabytes in options.megabytes:
        _write_file(folder / "files" / f"{megabytes}.webm", megabytes)
    with servers(folder) as environ:
        for number in range(options.rounds):
            for megabytes in options.megabytes:
                for at_once in AT_ONCE:
                    for way in _in_turn(number):
                        copied = _run(way, megabytes, at_once, environ)
                        print(copied, file=sys.stderr, flush=True)
                        remove_copies(environ)
                        yield copied


def _in_turn(number: int) -> list[str]:
    """The ways. In each round, another one is the first."""
    ways = list(WAYS)
    first = number % len(ways)
    return ways[first:] + ways[:first]


def _command(way: str, url: str, files: int, at_once: int) -> list[str]:
    if (copy := WAYS[way]) is None:
        module = [sys.executable, "-m", "benchmarks.archive.worker"]
        return [*module, url, str(files), str(at_once)]
    return ["bash", "-c", f"seq {files} | xargs -P {at_once} -n 1 bash -ec '{copy}' copy"]


def _run(way: str, megabytes: int, at_once: int, environ: Mapping[str, str]) -> Copied:
    """Run a contestant in a new session. Its CPU includes children that it waited for."""
    files = max(MIN_FILES, -(-MIN_MEGABYTES // megabytes))
    url = f"{environ['WEB']}/{megabytes}.webm"
    before, idle, memory, checksums = _children_cpu(), 0.0, 0, None
    pipe = subprocess.PIPE if WAYS[way] is None else None
    with subprocess.Popen(  # noqa: S603 - a command of this module
        _command(way, url, files, at_once),
        env={**environ, "URL": url},
        start_new_session=True,
        stdin=pipe,
        stdout=pipe,
    ) as process:
        if process.stdin and process.stdout:
            checksums = float(process.stdout.readline())
            idle = usage_of_session(process.pid).cpu
            process.stdin.write(b"\n")
            process.stdin.flush()
        began = time.monotonic()
        while process.poll() is None:
            memory = max(memory, usage_of_session(process.pid).rss)
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{way} failed with {process.returncode}")
    cpu = _children_cpu() - before - idle
    return Copied(way, megabytes, files, at_once, seconds, cpu, memory, checksums)


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _write_file(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


if __name__ == "__main__":
    main()
