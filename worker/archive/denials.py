"""Decides when a file is given up whose source denies it, although its URL has not expired.

what happened                     what follows
the API gave a new URL            at once with that one; later if it is denied, too; after
                                  `MAX_DENIALS` in a row, in about a day, give up
its host has a private address,   later; after `MAX_UNSAFE_ANSWERS` in a row, in some minutes, give
or it redirects to where nothing  up
is read from

Pure, except for the random share of a pause.
"""

from typing import Final

from worker.archive.errors import SourceDenied, SourceUnavailable, SourceUnsafe
from worker.archive.pauses import pause_after
from worker.store.archive_queue import FileTask

MAX_DENIALS: Final = 60
"""So many URLs are denied in about a day. Six days are left to get the file in another way."""

MAX_DENIED_PAUSE_SECONDS: Final = 3_600.0
"""While a URL is denied that has not expired, the recording is read again at most this often."""

UNSAFE_CODES: Final = {"private_address", "source_url_refused"}
"""The codes of SourceUnsafe."""

MAX_UNSAFE_ANSWERS: Final = 10
MAX_UNSAFE_PAUSE_SECONDS: Final = 600.0


def count_denials(task: FileTask, error: SourceDenied | SourceUnavailable | SourceUnsafe) -> int:
    """How often in a row the source denied the file in this way, this time included."""
    was_unsafe = task.last_error is not None and task.last_error.code in UNSAFE_CODES
    return task.denials + 1 if was_unsafe == isinstance(error, SourceUnsafe) else 1


def pause_with_new_url(task: FileTask, denials: int) -> float:
    """The pause before a new URL is tried. None if the denied one may have been an old one.

    The API may sign anew whatever it is asked for, also a lost file. So every second attempt waits.
    """
    if denials == 1 or task.attempts % 2 == 1:
        return 0.0
    return pause_after(task.attempts, MAX_DENIED_PAUSE_SECONDS)


def pause_while_unsafe(task: FileTask) -> float:
    """The pause before the name of the host is looked up, and the file asked for, again."""
    return pause_after(task.attempts, MAX_UNSAFE_PAUSE_SECONDS)
