"""Compares published events with the facts of the emulated API. A fault is an AssertionError."""

from collections import defaultdict

import msgspec

from recording_sandbox.demo.scenario import deduplicated
from recording_sandbox.model.request_log import RequestLog
from recording_schemas import (
    CloudEvent,
    CommandSucceeded,
    Completed,
    FileReady,
    Outcome,
    StatusChanged,
)


def assert_repeats_are_identical(events: list[CloudEvent]) -> None:
    """An event may be published again, but then every field is the same."""
    first_published: dict[str, CloudEvent] = {}
    for event in events:
        assert first_published.setdefault(event.id, event) == event


def assert_one_success_each(events: list[CloudEvent], command_ids: set[str]) -> None:
    """Every command has exactly one outcome, and it is a success."""
    outcomes = defaultdict(set)
    for event in events:
        if isinstance(event.data, Outcome):
            assert isinstance(event.data, CommandSucceeded), event
            outcomes[event.subject].add(event.id)
    assert {subject: len(ids) for subject, ids in outcomes.items()} == dict.fromkeys(command_ids, 1)


def assert_in_order(events: list[CloudEvent], recording_id: str) -> None:
    """The first publications of a recording's events are in the order of their sequence."""
    sequences = [str(event.sequence) for event in events_of(events, recording_id)]
    assert sequences == sorted(set(sequences))


def assert_files_and_completion(
    events: list[CloudEvent], request_log: RequestLog, recording_id: str
) -> None:
    """Every file has one event, and the completion follows the last one."""
    of_recording = events_of(events, recording_id)
    made = sorted(file.name for file in request_log.files if file.recording_id == recording_id)
    assert made
    assert (
        sorted(event.data.file_name for event in of_recording if isinstance(event.data, FileReady))
        == made
    )
    assert isinstance(of_recording[-1].data, Completed)
    assert sorted(of_recording[-1].data.files) == made
    assert sum(isinstance(event.data, Completed) for event in of_recording) == 1


def published_statuses(events: list[CloudEvent], recording_id: str) -> list[str]:
    """Every status that was published, in order."""
    of_recording = events_of(events, recording_id)
    return [
        event.data.status.value for event in of_recording if isinstance(event.data, StatusChanged)
    ]


def actual_statuses(request_log: RequestLog, recording_id: str) -> list[str]:
    """Every status that the recording went through, in order."""
    return [
        transition.status
        for transition in request_log.transitions
        if transition.recording_id == recording_id
    ]


def events_of(events: list[CloudEvent], recording_id: str) -> list[CloudEvent]:
    """A recording's events without repeats, in the order of their first publication."""
    return [event for event in deduplicated(events) if event.subject == recording_id]


def command_id_in(body: bytes) -> str:
    """The id of a command that was published as plain JSON."""
    return str(msgspec.json.decode(body)["id"])
