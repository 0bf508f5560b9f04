"""Published events, decoded once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from recording_schemas import (
    CloudEvent,
    CommandSucceeded,
    NotAnEvent,
    Outcome,
    decode_event,
)
from tests.fault.run_record import ReceivedMessage, RunRecord


class PublishedEvents:
    """Events by recording and outcomes by command, without repeats, in the order of arrival.

    Redelivered events are placed by their sequence: another consumer may have lost them with its
    connection, and newer events arrive before the broker notices. `undecodable` has a sentence for
    each message that is not a valid event. `replied` has the commands whose outcome arrived in the
    reply queue.
    """

    def __init__(self, facts: RunRecord) -> None:
        self.undecodable: list[str] = []
        self.of_recording: dict[str, list[CloudEvent]] = defaultdict(list)
        self.outcomes: dict[str, list[CloudEvent]] = defaultdict(list)
        self.replied: set[str] = set()
        event_ids: set[str] = set()
        for message in facts.received:
            if message.exchange == "":
                self._note_reply(message)
            if message.exchange in {"dead-letter", ""} or message.message_id in event_ids:
                continue
            event = self._decoded(message)
            if event is None:
                continue
            event_ids.add(event.id)
            of = self.outcomes if message.exchange == "results" else self.of_recording
            known = of[event.subject]
            known.insert(_place(known, event) if message.redelivered else len(known), event)

    def _note_reply(self, message: ReceivedMessage) -> None:
        reply = self._decoded(message)
        if reply is not None:
            self.replied.add(reply.subject)

    def _decoded(self, message: ReceivedMessage) -> CloudEvent | None:
        try:
            event = decode_event(message.body)
        except NotAnEvent as error:
            self.undecodable.append(
                f"a message on {message.exchange or 'reply'} is no event: {error}"
            )
            return None
        if event.id != message.message_id:
            self.undecodable.append(f"event {event.id} came with message_id {message.message_id}")
        return event

    def data(self, recording_id: str) -> list[object]:
        """The data of the events about this recording."""
        return [event.data for event in self.of_recording.get(recording_id, ())]

    def results(self, command_id: str) -> list[Outcome]:
        """The outcomes of this command; more than one contradict each other."""
        found = self.outcomes.get(command_id, ())
        return [event.data for event in found if isinstance(event.data, Outcome)]

    def claimed(self, command_id: str) -> list[str]:
        """The recordings that the command's outcomes name."""
        results = self.results(command_id)
        return [
            named
            for outcome in results
            if isinstance(outcome, CommandSucceeded)
            for named in outcome.recording_ids
        ]

    def everything(self) -> Iterator[CloudEvent]:
        """Each event once, outcomes as well."""
        for events in (*self.of_recording.values(), *self.outcomes.values()):
            yield from events


def _place(events: Sequence[CloudEvent], event: CloudEvent) -> int:
    later = (
        place for place, known in enumerate(events) if str(known.sequence) > str(event.sequence)
    )
    return next(later, len(events))
