"""Decides when to give up a file whose source keeps refusing it.

    answer                            reaction
    the URL is denied, and the API    try the new URL at once. If it is denied too, try later. Give
    gives a new one                   up after `MAX_DENIALS` in a row, which take about a day.
    one that would mean the loss of   try later, with a new URL if the API gives one. Give up after
    the file (`_DOUBTS`)              the same answer for a number of times in a row.

One wrong answer of the API, a name server, a proxy or the source must not lose a file.

Pure, except for the random share of a pause.
"""

from typing import Final, NamedTuple

from worker.archive.pauses import pause_after
from worker.store.archive_queue import FileTask

MAX_DENIALS: Final = 60
"""This many URLs are denied in about a day. Six days are left to get the file in another way."""

MAX_DENIED_PAUSE_SECONDS: Final = 3_600.0
"""While a URL that has not expired is denied, the recording is read again at most this often."""

MAX_SAME_ANSWERS: Final = 10
MAX_EMPTY_ANSWERS: Final = 30


class _Doubt(NamedTuple):
    """An answer of this `kind` counts as true after this many in a row. The longest pause is in
    seconds; None: that of other attempts."""

    kind: str
    answers: int = MAX_SAME_ANSWERS
    longest_pause: float | None = None


_UNSAFE: Final = _Doubt("unsafe")
_DOUBTS: Final = {
    "private_address": _UNSAFE,
    "source_url_refused": _UNSAFE,
    "file_too_large": _Doubt("too large"),
    # The API may list a file before its bytes exist. 30 answers take about a day.
    "source_empty": _Doubt("empty", MAX_EMPTY_ANSWERS, 3_600.0),
    "url_expired": _Doubt("expired"),
}
"""By the codes of SourceDoubtful."""


def count_denials(task: FileTask) -> int:
    """How often in a row the source denied a new URL, including this time."""
    was_in_doubt = task.last_error is not None and task.last_error.code in _DOUBTS
    return 1 if was_in_doubt else task.denials + 1


def known_doubts(task: FileTask, code: str, message: str) -> int:
    """How often in a row there was an answer of this kind before.

    The message of a file that is too large has its size: another size is another answer.
    """
    last = task.last_error
    if last is None or _DOUBTS.get(last.code) != _DOUBTS[code]:
        return 0
    return task.denials if code != "file_too_large" or last.message == message else 0


def is_confirmed(code: str, doubts: int) -> bool:
    """Whether the answer was repeated often enough to give the file up."""
    return doubts >= _DOUBTS[code].answers


def pause_in_doubt(task: FileTask, code: str, longest: float) -> float:
    """The pause before the next request for the file. `longest` is that between other attempts."""
    return pause_after(task.attempts, _DOUBTS[code].longest_pause or longest)


def pause_with_new_url(task: FileTask, denials: int) -> float:
    """The pause before a new URL is tried: 0.0 after the first denial, whose URL may have been old.

    The API may sign a new URL for any file, even a lost one. So every second attempt waits.
    """
    if denials == 1 or task.attempts % 2 == 1:
        return 0.0
    return pause_after(task.attempts, MAX_DENIED_PAUSE_SECONDS)
