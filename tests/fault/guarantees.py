"""The guarantees, one function each: every violation is a sentence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from recording_schemas import (
    Archived,
    ArchiveFailed,
    CloudEvent,
    Completed,
    FileArchived,
    FileReady,
    FileUrlRenewed,
    Outcome,
    Status,
    StatusChanged,
    outcome_of,
)
from tests.fault.published_events import PublishedEvents
from tests.fault.run_record import RunRecord, SentMessage

ENDED: Final = frozenset({"UPLOADED", "ERRORED"})
RANK: Final = {
    Status.INVOKED: 0,
    Status.RECORDING: 1,
    Status.PAUSED: 1,
    Status.UPLOADING: 2,
    Status.UPLOADED: 3,
    Status.ERRORED: 3,
}


# Lost


def commands_without_outcome(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Every command that the broker confirmed has an outcome on the exchange."""
    confirmed = {message.command_id for message in facts.sent if message.confirmed}
    for command_id in sorted(confirmed - published.outcomes.keys()):
        yield f"command {command_id} was confirmed and has no outcome"


def missing_replies(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Every command with a `reply_to` must also have its outcome in the reply queue."""
    confirmed = {
        message.command_id for message in facts.sent if message.confirmed and message.reply_to
    }
    for command_id in sorted(confirmed - published.replied):
        yield f"command {command_id} asked for a reply and got none"


def missing_dead_letters(facts: RunRecord) -> Iterator[str]:
    """Every message that is not a command must be in the dead-letter queue, with the same bytes."""
    dead = {message.body for message in facts.received if message.exchange == "dead-letter"}
    for message in facts.sent:
        if message.confirmed and not message.is_command and message.body not in dead:
            yield f"no dead letter has the bytes {message.body[:60]!r}"


def unreported_recordings(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Each recording of our starts must have an end, an event for each file, and a completion."""
    last = {transition.recording_id: transition.status for transition in facts.transitions}
    files: dict[str, set[str]] = defaultdict(set)
    for file in facts.files:
        files[file.recording_id].add(file.name)
    for recording_id in _ours(facts):
        data = published.data(recording_id)
        status = last[recording_id]
        if status not in ENDED:
            yield f"recording {recording_id} is still {status}: it was never stopped"
            continue
        if status not in {payload.status for payload in data if isinstance(payload, StatusChanged)}:
            yield f"recording {recording_id} is {status}, and no event says so"
        if not any(isinstance(payload, Completed) for payload in data):
            yield f"recording {recording_id} has no completed event"
        announced = {payload.file_name for payload in data if isinstance(payload, FileReady)}
        for name in sorted(files[recording_id] - announced):
            yield f"recording {recording_id} has file {name}, and no event says so"


def unarchived_files(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Each file of our recordings must have a copy; each recording with files needs a manifest."""
    files: dict[str, set[str]] = defaultdict(set)
    for file in facts.files if facts.archives else ():
        files[file.recording_id].add(file.name)
    for recording_id in sorted(files.keys() & set(_ours(facts))):
        data = published.data(recording_id)
        copied = {payload.file_name for payload in data if isinstance(payload, FileArchived)}
        for name in sorted(files[recording_id] - copied):
            yield f"recording {recording_id} has file {name}, and no event says it is archived"
        counts = {payload.file_count for payload in data if isinstance(payload, Archived)}
        if copied and len(copied) not in counts:
            yield f"recording {recording_id} has no manifest of its {len(copied)} copies"


def _ours(facts: RunRecord) -> list[str]:
    ids = (recording.recording_id for recording in facts.started)
    return [recording_id for recording_id in ids if recording_id not in facts.foreign]


def missing_sequence_numbers(published: PublishedEvents) -> Iterator[str]:
    """A missing sequence number belongs to an event that was dropped."""
    for recording_id, events in published.of_recording.items():
        numbers = {int(str(event.sequence)) for event in events}
        for missing in sorted(set(range(1, max(numbers))) - numbers):
            yield f"recording {recording_id} has no event of sequence {missing}"


# Doubled


def surplus_recordings(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """More recordings of a meeting and kind than start commands that may have started one."""
    starts: dict[tuple[str | None, str], set[str]] = defaultdict(set)
    for message in facts.sent:
        if message.starts and not _is_rejected(message, published):
            starts[message.meeting_id, message.starts].add(message.command_id)
    recordings = Counter(
        (recording.meeting_id, recording.kind)
        for recording in facts.started
        if recording.recording_id not in facts.foreign
    )
    for (meeting_id, kind), count in recordings.items():
        allowed = starts.get((meeting_id, kind), set())
        for _ in range(count - len(allowed)):
            commands = ", ".join(sorted(allowed)) or "no accepted command"
            yield f"meeting {meeting_id} has {count} {kind} recordings for {commands}"


def _is_rejected(message: SentMessage, published: PublishedEvents) -> bool:
    found = published.results(message.command_id)
    return any(outcome_of(outcome) == "rejected" for outcome in found)


def recordings_sharing_a_start(published: PublishedEvents) -> Iterator[str]:
    """Recordings that name the same start."""
    owned: dict[str, set[str]] = defaultdict(set)
    for recording_id, events in published.of_recording.items():
        for event in events:
            if not isinstance(event.data, Outcome) and event.data.start_id is not None:
                owned[event.data.start_id].add(recording_id)
    for start_id, ids in owned.items():
        for _ in range(len(ids) - 1):
            yield f"start {start_id} has the recordings {', '.join(sorted(ids))}"


def count_archived(published: PublishedEvents) -> int:
    """The number of archived files, by their events."""
    of_recordings = (published.data(recording_id) for recording_id in published.of_recording)
    return sum(isinstance(payload, FileArchived) for data in of_recordings for payload in data)


def files_archived_twice(published: PublishedEvents) -> Iterator[str]:
    """A file may be copied once, because no command asked for another copy."""
    for recording_id in published.of_recording:
        data = published.data(recording_id)
        copies = Counter(payload.file_name for payload in data if isinstance(payload, FileArchived))
        for name, count in copies.items():
            for _ in range(count - 1):
                yield f"recording {recording_id} has file {name} archived {count} times"


# Unexpected


def changed_event_bodies(facts: RunRecord) -> Iterator[str]:
    """A repeated event has the same bytes, also as a reply."""
    bodies: dict[str, bytes] = {}
    for message in facts.received:
        if message.exchange == "dead-letter" or message.message_id is None:
            continue
        if bodies.setdefault(message.message_id, message.body) != message.body:
            yield f"event {message.message_id} came with other bytes than before"


def facts_with_two_ids(published: PublishedEvents) -> Iterator[str]:
    """Each fact has one id; subscribers recognise a repeat by it."""
    event_ids: dict[tuple[str, ...], str] = {}
    for event in published.everything():
        for fact in _facts_in(event):
            first = event_ids.setdefault(fact, event.id)
            if first != event.id:
                yield f"{' '.join(fact)} has the ids {first} and {event.id}"


def _facts_in(event: CloudEvent) -> list[tuple[str, ...]]:
    match event.data:
        case StatusChanged(recording_id=owner, status=Status.RECORDING | Status.PAUSED):
            return [("sequence", owner, str(event.sequence))]  # these statuses may repeat
        case StatusChanged(recording_id=owner, status=status):
            return [("sequence", owner, str(event.sequence)), ("status", owner, status)]
        case FileReady(recording_id=owner, file_name=name):
            return [("sequence", owner, str(event.sequence)), ("file", owner, name)]
        case Completed(recording_id=owner, file_count=count):  # again with each later file
            return [("sequence", owner, str(event.sequence)), ("completed", owner, str(count))]
        case FileUrlRenewed() | FileArchived() | Archived() | ArchiveFailed() as data:
            return [("sequence", data.recording_id, str(event.sequence))]
        case _:
            return [("outcome", event.subject)]


def disallowed_outcomes(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Outcomes that the command does not allow, or that belong to no sent command."""
    allowed: dict[str, frozenset[str]] = {}
    for message in facts.sent:  # repeats change nothing: the first message with the id counts
        allowed.setdefault(message.command_id, message.allowed)
    for command_id in published.outcomes:
        for outcome in published.results(command_id):
            name = outcome_of(outcome)
            if command_id not in allowed:
                yield f"outcome {name} of a command {command_id} that nobody sent"
            elif name not in allowed[command_id]:
                why = msgspec.json.encode(outcome).decode()
                yield f"command {command_id} ended as {name}: {why}"


def events_of_unknown_origin(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Events about recordings and files that do not exist."""
    started = {recording.recording_id for recording in facts.started}
    files = {(file.recording_id, file.name) for file in facts.files}
    for recording_id in published.of_recording:
        if recording_id not in started:
            yield f"events of a recording {recording_id} that was never started"
        for payload in published.data(recording_id):
            if isinstance(payload, FileReady) and (recording_id, payload.file_name) not in files:
                yield f"recording {recording_id} never had a file {payload.file_name}"


def wrongly_claimed_recordings(facts: RunRecord, published: PublishedEvents) -> Iterator[str]:
    """Starts whose outcome names a recording that they cannot have started."""
    origins = {
        recording.recording_id: (recording.meeting_id, recording.kind)
        for recording in facts.started
    }
    starts = {message.command_id: message for message in facts.sent if message.starts}
    claims: dict[str, str] = {}
    for command_id in sorted(starts.keys() & published.outcomes.keys()):
        asked = starts[command_id]
        for named in published.claimed(command_id):
            if origins.get(named) != (asked.meeting_id, asked.starts):
                yield f"start {command_id} claims recording {named}, which is not its own"
            elif named in facts.foreign:
                yield f"start {command_id} claims recording {named} of somebody else"
            elif (other := claims.setdefault(named, command_id)) != command_id:
                yield f"starts {other} and {command_id} both claim recording {named}"


def requests_beyond_limit(facts: RunRecord) -> Iterator[str]:
    """Requests beyond the API's limit: the API then refuses all requests of the account."""
    for request in facts.beyond_limit:
        yield f"{request.operation} was asked for beyond the API's limit"


# Out of order


def events_out_of_order(published: PublishedEvents) -> Iterator[str]:
    """Events that arrive in a wrong order, when repeats are ignored."""
    for recording_id, events in published.of_recording.items():
        yield from _sequence_disorder(recording_id, events)
        yield from _status_disorder(recording_id, [event.data for event in events])
        yield from _completion_disorder(recording_id, [event.data for event in events])


def _sequence_disorder(recording_id: str, events: Sequence[CloudEvent]) -> Iterator[str]:
    for before, after in pairwise(str(event.sequence) for event in events):
        if after < before:
            yield f"recording {recording_id}: sequence {after} came after {before}"


def _status_disorder(recording_id: str, data: Iterable[object]) -> Iterator[str]:
    published = [payload for payload in data if isinstance(payload, StatusChanged)]
    for before, after in pairwise(published):
        timed_out = before.error is not None and before.error.code in {"stalled", "vanished"}
        over = before.status in ENDED and not timed_out
        if over or (RANK[after.status] < RANK[before.status] and not timed_out):
            yield f"recording {recording_id}: {after.status} came after {before.status}"
        if after.previous_status != before.status:
            previous = after.previous_status
            yield f"recording {recording_id}: {after.status} says it follows {previous}"


def _completion_disorder(recording_id: str, data: Sequence[object]) -> Iterator[str]:
    announced: set[str] = set()
    for payload in data:
        if isinstance(payload, FileReady):
            announced.add(payload.file_name)
        if isinstance(payload, Completed) and (early := set(payload.files) - announced):
            yield f"recording {recording_id}: completed came before {', '.join(sorted(early))}"


# Allowed


def repeated_events(facts: RunRecord) -> Counter[str]:
    """How often each event was repeated with its id and bytes. Replies do not count."""
    counted = Counter(
        message.message_id
        for message in facts.received
        if message.message_id is not None and message.exchange not in {"dead-letter", ""}
    )
    return Counter({event_id: count - 1 for event_id, count in counted.items()})
