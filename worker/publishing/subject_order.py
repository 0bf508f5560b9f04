"""The order in which the events of a batch may be published. Pure.

Events of one subject keep their order; subjects do not wait for each other. The subject of an event
is its recording, or its command for outcomes and replies. Each subject has a queue. The head of a
queue may be in flight at the same time:

    a file event at the front     that event and all file events directly behind it
    any other event               that event alone

The next head follows when the broker has confirmed every event of the head. If the broker does not
confirm one, the subject is blocked, and its later events wait in the outbox. File events that were
in flight with the unconfirmed one may be confirmed: then it arrives after them.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from recording_schemas import EVENT_TYPES, FileArchived, FileReady, FileUrlRenewed
from worker.store.unsent_events import UnsentEvent

FILE_EVENTS: Final = frozenset(
    EVENT_TYPES[data] for data in (FileReady, FileUrlRenewed, FileArchived)
)


class SubjectQueues:
    """The events of a batch, in one queue per subject. `heads` has the head of each queue."""

    def __init__(self, events: Iterable[UnsentEvent]) -> None:
        by_subject: dict[str, list[UnsentEvent]] = {}
        for event in events:
            by_subject.setdefault(event.subject, []).append(event)
        self._queues = list(by_subject.values())
        self.heads = [_head(queue) for queue in self._queues]

    def advance(self, are_confirmed: Sequence[bool]) -> None:
        """Drop the heads. `are_confirmed` says of each head whether the broker confirmed all of its
        events. The queues of blocked subjects are dropped as a whole, and so are empty ones."""
        self._queues = [
            queue[len(head) :]
            for queue, head, is_confirmed in zip(
                self._queues, self.heads, are_confirmed, strict=True
            )
            if is_confirmed and len(head) < len(queue)
        ]
        self.heads = [_head(queue) for queue in self._queues]


def _head(queue: Sequence[UnsentEvent]) -> Sequence[UnsentEvent]:
    files = list(takewhile(lambda event: event.event_type in FILE_EVENTS, queue))
    return files or queue[:1]
