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
        for message in received:
            assert message.message_id is not None
            before = self._bodies.setdefault(message.message_id, message.body)
            assert before == message.body, f"{message.message_id} says something else this time"
            if before is message.body:
                self._receive_first(decode_event(message.body))

    def _receive_first(self, event: CloudEvent) -> None:
        if not isinstance(event.sequence, str):
            known = self._outcomes.setdefault(event.subject, event)
            assert known is event, f"{event.subject} ended twice: {known.data}, {event.data}"
            return
        line = self._of_recording[event.subject]
        assert int(event.sequence) == len(line) + 1, f"{event.subject} skips a number"
        _check_next([earlier.data for earlier in line], event.data)
        line.append(event)

    def check_outcomes(
        self, sent: Mapping[str, Mapping[str, Any]], recordings: Mapping[str, list[str]]
    ) -> None:
        """Check the end of all commands: each has one outcome, and a start names its recording."""
        assert self._outcomes.keys() == sent.keys()
        for start_id in (command_id for command_id in sent if command_id.startswith("start-")):
            outcome = self._outcomes[start_id].data
            named = list(outcome.recording_ids) if isinstance(outcome, CommandSucceeded) else []
            assert named == recordings.get(start_id, []), f"{start_id}: {outcome}"

    def check_ends(self, recordings: Iterable[Recording]) -> None:
        """Check the end of all recordings: each has its final status and an event for each file."""
        for recording in recordings:
            data = [event.data for event in self._of_recording[recording.id]]
            statuses = [fact.status for fact in data if isinstance(fact, StatusChanged)]
            assert statuses[-1] == recording.status
            assert isinstance(data[-1], Completed)
            files = {fact.file_name for fact in data if isinstance(fact, FileReady)}
            assert files == {file.name for file in recording.all_files}
            # None: a sync or a stop found the recording before its start had an outcome.
            named = {fact.start_id for fact in data if isinstance(fact, StatusChanged)}
            assert named <= {recording.request.prefix, None}


def _check_next(before: list[object], newest: object) -> None:
    assert not any(isinstance(payload, Completed) for payload in before), (
        f"{newest} after the completion"
    )
    if isinstance(newest, FileReady):
        assert all(
            payload.file_name != newest.file_name
            for payload in before
            if isinstance(payload, FileReady)
        )
    if isinstance(newest, StatusChanged):
        statuses = [payload.status for payload in before if isinstance(payload, StatusChanged)]
        last = statuses[-1] if statuses else None
        assert newest.previous_status == last
        assert last is None or (last is not newest.status and RANK[last] <= RANK[newest.status])
        assert last is None or RANK[last] < 3, f"{newest.status} after the end {last}"
