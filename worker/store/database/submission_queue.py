"""The requests that wait for a transaction: those of commands first, then a few others.

A transaction takes as long as all of its requests together. Thousands of recordings may end at
once, and then hundreds of webhooks and pages of lists wait here. A command waits for the
transaction that runs and for its own. So neither may contain more than a few of those.
"""

from collections import deque
from typing import Final

from worker.store.database.submissions import Submission

MAX_COMMANDS: Final = 500
"""At most this many urgent requests share a transaction."""

MAX_OTHERS: Final = 32
"""The sizes of the other requests of a transaction are at most this, unless one alone is larger.
A webhook has size 1. A hundred webhooks need three commits instead of one, which costs little."""


class SubmissionQueue:
    """The waiting requests, in two lanes. Each lane keeps its order."""

    def __init__(self) -> None:
        self._urgent: deque[Submission] = deque()
        self._others: deque[Submission] = deque()

    def __bool__(self) -> bool:
        return bool(self._urgent or self._others)

    def add(self, submission: Submission) -> None:
        """Add a submission at the end of its lane."""
        (self._urgent if submission.urgent else self._others).append(submission)

    def take_batch(self) -> list[Submission]:
        """Remove the requests of the next transaction: the oldest of both lanes.

        Neither lane waits for the other one to be empty.
        """
        batch = [self._urgent.popleft() for _ in range(min(len(self._urgent), MAX_COMMANDS))]
        room = MAX_OTHERS
        while self._others and (room == MAX_OTHERS or self._others[0].size <= room):
            room -= self._others[0].size
            batch.append(self._others.popleft())
        return batch
