"""The resources of a process and its children, read from /proc."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

_TICK: Final = 1.0 / os.sysconf("SC_CLK_TCK")


class ProcessUsage(msgspec.Struct, frozen=True):
    """`cpu` seconds since the start, `rss` bytes now: the sum of all processes of one session."""

    cpu: float
    rss: int


def usage_of_session(session: int) -> ProcessUsage:
    """The resources used so far by the session: a process started as its leader, and its
    children."""
    cpu, rss = 0.0, 0
    for directory, fields in _of(session):
        cpu += sum(map(int, fields[11:15])) * _TICK
        rss += _rss(directory)
    return ProcessUsage(cpu, rss)


def _of(session: int) -> Iterator[tuple[Path, list[str]]]:
    """The processes of a session with the fields of their `stat` that follow the name."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                fields = (directory / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            if int(fields[3]) == session:
                yield directory, fields


def _rss(directory: Path) -> int:
    try:
        status = (directory / "status").read_text()
    except OSError:
        return 0
    lines = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return sum(int(line.split()[1]) * 1024 for line in lines)
