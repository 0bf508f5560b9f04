"""How many files the worker may open."""

import resource
from contextlib import suppress
from typing import Final

NEEDED_OPEN_FILES: Final = 4_096
"""More than a worker opens: connections to the API, of HTTP clients, to broker and database."""


def raise_file_limit() -> None:
    """Raise the soft limit of open files to `NEEDED_OPEN_FILES`, as far as the hard limit permits.

    Container runtimes and systemd set a soft limit of 1,024, because programs that use `select`
    cannot have more. At the limit, probes would get no answer.
    """
    with suppress(OSError):  # a filter of system calls may forbid it, and the worker runs anyway
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limits = [NEEDED_OPEN_FILES, *([hard] if hard != resource.RLIM_INFINITY else [])]
        if soft != resource.RLIM_INFINITY and soft < min(limits):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits), hard))
