"""`python -m benchmarks.archive.bench`: copy files from a URL to S3 in three ways, in one run."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.contestant_list import ROOT
from benchmarks.process_usage import usage_of_session
from benchmarks.report import Table, markdown, replace_section
from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import OwnedProcess, wait_until

RCLONE: Final = ROOT / ".venv-integrations/bin/rclone"
BUCKET: Final = "recordings"
KEY: Final = "ARCHIVEACCESSKEY"
SECRET: Final = "archive-secret-key"  # noqa: S105 - that of a benchmark
SAMPLE_SECONDS: Final = 0.05
COPY_URL: Final = '"$RCLONE" copyurl "$URL" "dest:$BUCKET/copyurl/$1"'
CURL: Final = (
    'f=$(mktemp -p "$FILES") && curl -sSf -o "$f" "$URL"'
    ' && "$RCLONE" copyto "$f" "dest:$BUCKET/curl/$1"; rm "$f"'
)
WAYS: Final = ("recording-worker", "`rclone copyurl`", "curl to a file, then `rclone copyto`")


class Copied(msgspec.Struct, frozen=True):
    """One contestant in one round: seconds of time and CPU, and the most memory, in bytes."""

    way: str
    at_once: int
    seconds: float
    cpu: float
    memory: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it into a page."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="archive-bench-") as folder:
        rounds = list(_measure(Path(folder), options))
    made = table(rounds, options.megabytes * options.files)
    print(markdown(made))
    if options.docs:
        about = (
            f"{options.files} files of {options.megabytes} MB, medians of {options.rounds} rounds"
        )
        body = f"{markdown(made)}\n\n{about}."
        replace_section(options.docs, "archive", "make bench-archive", body)


def table(rounds: Sequence[Copied], megabytes: int) -> Table:
    """A row for each way and number of files at once."""
    head = ("", "files at once", "MB/s", "CPU seconds per GB", "most memory, MB")
    rows = [
        (
            way,
            str(at_once),
            f"{megabytes / _median(rounds, way, at_once, 'seconds'):.0f}",
            f"{_median(rounds, way, at_once, 'cpu') / (megabytes / 1000):.1f}",
            f"{_median(rounds, way, at_once, 'memory') / 2**20:.0f}",
        )
        for at_once in sorted({one.at_once for one in rounds})
        for way in WAYS
    ]
    return [head, *rows]


def _median(rounds: Sequence[Copied], way: str, at_once: int, field: str) -> float:
    chosen = (one for one in rounds if (one.way, one.at_once) == (way, at_once))
    return float(statistics.median(getattr(one, field) for one in chosen))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=256, help="the size of a file")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", type=Path, help="the page to write the table into")
    return parser.parse_args(arguments)


def _measure(folder: Path, options: argparse.Namespace) -> Iterator[Copied]:
    (folder / "s3" / BUCKET).mkdir(parents=True)
    (folder / "files").mkdir()
    _write_file(folder / "files/a.webm", options.megabytes)
    with _servers(folder) as environ:
        for number in range(options.rounds):
            for at_once in (1, options.files):
                ways = _ways(environ["URL"], options.files, at_once)
                for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
                    copied = _run(way, at_once, ways[way], environ)
                    print(copied, file=sys.stderr, flush=True)
                    yield copied


def _ways(url: str, files: int, at_once: int) -> Mapping[str, list[str]]:
    def script(copy: str) -> list[str]:
        return ["bash", "-c", f"seq {files} | xargs -P {at_once} -n 1 bash -ec '{copy}' copy"]

    ours = [sys.executable, "-m", "benchmarks.archive.worker", url, str(files), str(at_once)]
    return dict(zip(WAYS, (ours, script(COPY_URL), script(CURL)), strict=True))


def _run(way: str, at_once: int, command: list[str], environ: Mapping[str, str]) -> Copied:
    """Run a contestant in a session of its own. Children that it waited for count as its CPU."""
    before, idle, memory = _children_cpu(), 0.0, 0
    pipe = subprocess.PIPE if way == WAYS[0] else None
    with subprocess.Popen(  # noqa: S603 - a command of this module
        command, env=dict(environ), start_new_session=True, stdin=pipe, stdout=pipe
    ) as process:
        if process.stdin and process.stdout:
            process.stdout.readline()
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
    return Copied(way, at_once, seconds, _children_cpu() - before - idle, memory)


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def _servers(folder: Path) -> Iterator[dict[str, str]]:
    """A web server with the file, and S3. Yields the environment of the contestants."""
    web, s3 = free_ports(2)
    serve_http = ["serve", "http", "--addr", f"127.0.0.1:{web}", str(folder / "files")]
    serve_s3 = ["serve", "s3", "--addr", f"127.0.0.1:{s3}", "--auth-key", f"{KEY},{SECRET}"]
    servers = [
        _start(web, serve_http, folder / "http.log"),
        _start(s3, [*serve_s3, str(folder / "s3")], folder / "s3.log"),
    ]
    try:
        yield {**os.environ, **_environ(folder, web, f"http://127.0.0.1:{s3}")}
    finally:
        for server in servers:
            server.kill()


def _start(port: int, arguments: list[str], log: Path) -> OwnedProcess:
    command = [str(RCLONE), "--config", "", *arguments]
    process = OwnedProcess(command, environ=dict(os.environ), log=log)
    wait_until(lambda: listens(port), seconds=30, otherwise=process.log_tail)
    return process


def _environ(folder: Path, web: int, endpoint: str) -> dict[str, str]:
    ours = {
        "ARCHIVE": f"s3://{BUCKET}",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
    theirs = {
        "RCLONE": str(RCLONE),
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_DEST_TYPE": "s3",
        "RCLONE_CONFIG_DEST_PROVIDER": "Rclone",
        "RCLONE_CONFIG_DEST_ENDPOINT": endpoint,
        "RCLONE_CONFIG_DEST_ACCESS_KEY_ID": KEY,
        "RCLONE_CONFIG_DEST_SECRET_ACCESS_KEY": SECRET,
        "BUCKET": BUCKET,
        "FILES": str(folder),
        "URL": f"http://127.0.0.1:{web}/a.webm",
    }
    return ours | theirs


def _write_file(path: Path, megabytes: int) -> None:
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


if __name__ == "__main__":
    main()
