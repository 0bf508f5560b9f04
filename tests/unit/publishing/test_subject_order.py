"""Which events of a batch may be in flight at the same time."""

from worker.publishing.subject_order import SubjectQueues
from worker.store.unsent_events import UnsentEvent

STATUS_CHANGED = "recording.status_changed.v1"
FILE_READY = "recording.file_ready.v1"
URL_RENEWED = "recording.file_url_renewed.v1"
FILE_ARCHIVED = "recording.file_archived.v1"
ARCHIVED = "recording.archived.v1"


def event(subject: str, position: int, event_type: str = STATUS_CHANGED) -> UnsentEvent:
    return UnsentEvent(
        position=position,
        event_id=f"e{position}",
        event_type=event_type,
        subject=subject,
        exchange="status",
        routing_key="track.invoked",
        correlation_id=None,
        headers={},
        body=b"{}",
        created_at=0.0,
    )


def positions(queues: SubjectQueues) -> list[list[int]]:
    return [[event.position for event in head] for head in queues.heads]


def test_one_event_of_each_subject_is_in_flight() -> None:
    queues = SubjectQueues([event("a", 1), event("b", 2), event("a", 3)])

    assert positions(queues) == [[1], [2]]


def test_the_next_event_of_a_subject_follows_its_confirmation() -> None:
    queues = SubjectQueues([event("a", 1), event("b", 2), event("a", 3)])
    queues.advance([True, True])

    assert positions(queues) == [[3]]


def test_file_events_behind_each_other_are_in_flight_together() -> None:
    files = [event("a", position, FILE_READY) for position in (2, 3, 4)]
    queues = SubjectQueues([event("a", 1), *files, event("a", 5)])
    queues.advance([True])

    assert positions(queues) == [[2, 3, 4]]
    queues.advance([True])
    assert positions(queues) == [[5]]


def test_renewed_urls_are_in_flight_together_with_files() -> None:
    mixed = [event("a", 1, FILE_READY), event("a", 2, URL_RENEWED), event("a", 3, URL_RENEWED)]

    assert positions(SubjectQueues([*mixed, event("a", 4)])) == [[1, 2, 3]]


def test_archived_files_are_in_flight_together_and_their_recording_follows() -> None:
    files = [event("a", position, FILE_ARCHIVED) for position in (1, 2, 3)]
    queues = SubjectQueues([*files, event("a", 4, ARCHIVED), event("a", 5, FILE_ARCHIVED)])

    assert positions(queues) == [[1, 2, 3]]
    queues.advance([True])
    assert positions(queues) == [[4]]


def test_an_event_that_is_not_confirmed_blocks_its_own_subject_only() -> None:
    queues = SubjectQueues([event("a", 1), event("b", 2), event("a", 3), event("b", 4)])
    queues.advance([False, True])

    assert positions(queues) == [[4]]


def test_a_file_that_is_not_confirmed_blocks_what_follows_the_files() -> None:
    files = [event("a", position, FILE_READY) for position in (1, 2, 3)]
    queues = SubjectQueues([*files, event("a", 4)])
    queues.advance([False])

    assert positions(queues) == []
