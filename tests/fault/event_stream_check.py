"""Checks published events against the guarantees as they arrive."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from recording_sandbox.model.recording import Recording
from recording_schemas import (
    CloudEvent,
    CommandSucceeded,
    Completed,
    FileReady,
    StatusChanged,
    decode_event,
)
from tests.fault.reliability_report import RANK
from tests.fault.run_record import ReceivedMessage


class EventStreamCheck:
    """Every event so far. `add` raises AssertionError at the first broken guarantee."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._of_recording: dict[str, list[CloudEvent]] = defaultdict(list)
        self._outcomes: dict[str, CloudEvent] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def add(self, received: Iterable[ReceivedMessage]) -> None:
        """Check and keep one event; a repeat must have the same bytes."""
        for one in received:
            assert one.message_id is not None
            before = self._bodies.setdefault(one.message_id, one.body)
            assert before == one.body, f"{one.message_id} says something else this time"
            if before is one.body:
                self._hear_first(decode_event(one.body))

    def _hear_first(self, event: CloudEvent) -> None:
        if not isinstance(event.sequence, str):
            known = self._outcomes.setdefault(event.subject, event)
            assert known is event, f"{event.subject} ended twice: {known.data}, {event.data}"
            return
        line = self._of_recording[event.subject]
        assert int(event.sequence) == len(line) + 1, f"{event.subject} skips a number"
        _check_next([one.data for one in line], event.data)
        line.append(event)

    def check_outcomes(
        self, sent: Mapping[str, Mapping[str, Any]], recordings: Mapping[str, list[str]]
    ) -> None:
        """When all has settled: each command ended, and a start as its recording says."""
        assert self._outcomes.keys() == sent.keys()
        for start_id in (one for one in sent if one.startswith("start-")):
            outcome = self._outcomes[start_id].data
            told = list(outcome.recording_ids) if isinstance(outcome, CommandSucceeded) else []
            assert told == recordings.get(start_id, []), f"{start_id}: {outcome}"

    def check_ends(self, recordings: Iterable[Recording]) -> None:
        """At the end: each recording has its final status and an event for each of its files."""
        for one in recordings:
            data = [event.data for event in self._of_recording[one.id]]
            statuses = [fact.status for fact in data if isinstance(fact, StatusChanged)]
            assert statuses[-1] == one.status
            assert isinstance(data[-1], Completed)
            files = {fact.file_name for fact in data if isinstance(fact, FileReady)}
            assert files == {file.name for file in one.all_files}
            # None: a sync, or a stop of its meeting, met it before its start knew of it.
            named = {fact.start_id for fact in data if isinstance(fact, StatusChanged)}
            assert named <= {one.request.prefix, None}


def _check_next(before: list[object], newest: object) -> None:
    assert not any(isinstance(one, Completed) for one in before), f"{newest} after the completion"
    if isinstance(newest, FileReady):
        assert all(
            one.file_name != newest.file_name for one in before if isinstance(one, FileReady)
        )
    if isinstance(newest, StatusChanged):
        statuses = [one.status for one in before if isinstance(one, StatusChanged)]
        last = statuses[-1] if statuses else None
        assert newest.previous_status == last
        assert last is None or (last is not newest.status and RANK[last] <= RANK[newest.status])
        assert last is None or RANK[last] < 3, f"{newest.status} after the end {last}"
