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
        seen: set[str] = set()
        for one in facts.received:
            if one.exchange == "":
                self._note_reply(one)
            if one.exchange in {"dead-letter", ""} or one.message_id in seen:
                continue
            event = self._decoded(one)
            if event is None:
                continue
            seen.add(event.id)
            of = self.outcomes if one.exchange == "results" else self.of_recording
            known = of[event.subject]
            known.insert(_place(known, event) if one.redelivered else len(known), event)

    def _note_reply(self, one: ReceivedMessage) -> None:
        reply = self._decoded(one)
        if reply is not None:
            self.replied.add(reply.subject)

    def _decoded(self, one: ReceivedMessage) -> CloudEvent | None:
        try:
            event = decode_event(one.body)
        except NotAnEvent as error:
            self.undecodable.append(f"a message on {one.exchange or 'reply'} is no event: {error}")
            return None
        if event.id != one.message_id:
            self.undecodable.append(f"event {event.id} came with message_id {one.message_id}")
        return event

    def data(self, recording_id: str) -> list[object]:
        """The data of the events about this recording."""
        return [event.data for event in self.of_recording.get(recording_id, ())]

    def results(self, command_id: str) -> list[Outcome]:
        """The outcomes of this command; more than one contradict each other."""
        found = self.outcomes.get(command_id, ())
        return [one.data for one in found if isinstance(one.data, Outcome)]

    def claimed(self, command_id: str) -> list[str]:
        """The recordings that this command is said to have been about."""
        results = self.results(command_id)
        return [
            named
            for one in results
            if isinstance(one, CommandSucceeded)
            for named in one.recording_ids
        ]

    def everything(self) -> Iterator[CloudEvent]:
        """Each event once, outcomes as well."""
        for events in (*self.of_recording.values(), *self.outcomes.values()):
            yield from events


def _place(events: Sequence[CloudEvent], event: CloudEvent) -> int:
    later = (place for place, one in enumerate(events) if str(one.sequence) > str(event.sequence))
    return next(later, len(events))
