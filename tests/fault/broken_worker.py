"""A worker with a deliberate bug (`FAULT_BREAKAGE=<name>`): the report must find it."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

import worker.bootstrap
import worker.realtimekit.apps
from worker.__main__ import main
from worker.broker.acknowledger import Acknowledger
from worker.broker.consumer import Consumer
from worker.broker.messages import Delivery, Outgoing
from worker.domain.snapshot import RecordingSnapshot
from worker.publishing.event_publisher import EventPublisher, PublishedPage
from worker.realtimekit.client import RealtimeKitClient
from worker.store.outbox_marks import PageMarks
from worker.store.unsent_events import UnsentEvent


class AcknowledgesEarly(Consumer):
    """Acknowledges the message before the worker has done anything about it."""

    async def _handle(self, acknowledger: Acknowledger, tag: int, delivery: Delivery) -> None:
        await acknowledger.acknowledge(tag)
        await self._handler(delivery)


class StartsTwice(RealtimeKitClient):
    """Repeats a start, as a client that retries without thinking would."""

    async def start_track_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        await super().start_track_recording(body)
        return await super().start_track_recording(body)


class DropsAnEvent(EventPublisher):
    """Marks every file event as sent, and never sends it."""

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> PublishedPage:
        page = await super().publish(
            [event for event in events if "file_ready" not in event.event_type], may_continue
        )
        marks = PageMarks(sent=[event.position for event in events])
        return msgspec.structs.replace(page, marks=marks)


class ChangesAnId(EventPublisher):
    """Makes a new id for each publication."""

    def message(self, event: UnsentEvent) -> Outgoing:
        body: dict[str, Any] = msgspec.json.decode(event.body)
        body["id"] = str(uuid.uuid4())
        return msgspec.structs.replace(
            super().message(event), body=msgspec.json.encode(body), message_id=body["id"]
        )

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> PublishedPage:
        await super().publish(events, may_continue)
        return await super().publish(events, may_continue)  # as after a confirmation that was lost


class ChangesTheBytes(EventPublisher):
    """Writes the time of publishing into the event."""

    published = 0

    def message(self, event: UnsentEvent) -> Outgoing:
        self.published += 1
        body: dict[str, Any] = msgspec.json.decode(event.body)
        body["published"] = self.published
        return msgspec.structs.replace(super().message(event), body=msgspec.json.encode(body))

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> PublishedPage:
        await super().publish(events, may_continue)
        return await super().publish(events, may_continue)


class SendsTheLastFirst(EventPublisher):
    """Publishes the waiting events of a recording in the wrong order."""

    async def publish(
        self, events: Sequence[UnsentEvent], may_continue: Callable[[], bool]
    ) -> PublishedPage:
        return await super().publish(events[::-1], may_continue)


BREAKAGES: Mapping[str, tuple[str, type]] = {
    "acknowledges-early": ("Consumer", AcknowledgesEarly),
    "starts-twice": ("RealtimeKitClient", StartsTwice),
    "drops-an-event": ("EventPublisher", DropsAnEvent),
    "changes-an-id": ("EventPublisher", ChangesAnId),
    "changes-the-bytes": ("EventPublisher", ChangesTheBytes),
    "sends-the-last-first": ("EventPublisher", SendsTheLastFirst),
}


if __name__ == "__main__":
    name, broken = BREAKAGES[os.environ["FAULT_BREAKAGE"]]
    for module in (worker.bootstrap, worker.realtimekit.apps):
        if name in vars(module):
            vars(module)[name] = broken
    main(["run"])
