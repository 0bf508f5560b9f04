"""Decides when a file is given up that its source keeps denying, although its URL has not expired.

what happened                     what follows
the API gave a new URL            at once with that one; later if it is denied, too; after
                                  `MAX_DENIALS` in a row, in about a day, give up
its host has a private address,   later; after `MAX_UNSAFE_ANSWERS` in a row, in some minutes, give
or it redirects to where nothing  up
is read from
the source says that the file is  later with a new URL; after `MAX_SAME_SIZES` answers in a row with
larger than is allowed            the same size, in some minutes, give up
the source sends no bytes         later with a new URL; after `MAX_EMPTY_ANSWERS` in a row, in about
                                  a day, give up

Pure, except for the random share of a pause.
"""

from typing import Final

from recording_schemas import ErrorInfo
from worker.archive.errors import (
    SourceDenied,
    SourceDoubtful,
    SourceUnavailable,
    SourceUnsafe,
)
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

MAX_SAME_SIZES: Final = 10
MAX_SIZE_PAUSE_SECONDS: Final = 600.0
"""Who raises the limit has days left, so a large file is told soon."""

MAX_EMPTY_ANSWERS: Final = 30
MAX_EMPTY_PAUSE_SECONDS: Final = 3_600.0
"""The API may list a file before its bytes are there."""

_DOUBTFUL: Final = {
    "file_too_large": (MAX_SAME_SIZES, MAX_SIZE_PAUSE_SECONDS),
    "source_empty": (MAX_EMPTY_ANSWERS, MAX_EMPTY_PAUSE_SECONDS),
}
"""The codes of SourceDoubtful: the answers in a row that are believed, and the longest pause."""


def count_denials(task: FileTask, error: SourceDenied | SourceUnavailable | SourceUnsafe) -> int:
    """How often in a row the source denied the file in this way, this time included."""
    last = task.last_error.code if task.last_error else ""
    was_unsafe = last in UNSAFE_CODES
    is_same = last not in _DOUBTFUL and was_unsafe == isinstance(error, SourceUnsafe)
    return task.denials + 1 if is_same else 1


def count_doubts(task: FileTask, error: SourceDoubtful) -> int:
    """How often in a row the source gave this answer, this time included.

    The message has the size of a file that is too large: another size is another answer.
    """
    is_same = task.last_error == ErrorInfo(code=error.code, message=error.message)
    return task.denials + 1 if is_same else 1


def is_believed(error: SourceDoubtful, doubts: int) -> bool:
    """Whether the source gave its answer so often that the file is given up."""
    return doubts >= _DOUBTFUL[error.code][0]


def pause_in_doubt(task: FileTask, error: SourceDoubtful) -> float:
    """The pause before the file is asked for again."""
    return pause_after(task.attempts, _DOUBTFUL[error.code][1])


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
