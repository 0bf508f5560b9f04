"""A worker that is broken on purpose, `FAULT_BREAKAGE=<name>`, to see that the ledger notices."""

import os
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

import worker.app
import worker.realtimekit.apps
from worker.__main__ import main
from worker.broker.acknowledger import Acknowledger
from worker.broker.consumer import Consumer
from worker.broker.messages import Delivery, Outgoing
from worker.domain.snapshot import RecordingSnapshot
from worker.publishing.relay import OutboxRelay
from worker.realtimekit.client import RealtimeKitClient
from worker.store.outbox import UnsentEvent


class AcknowledgesEarly(Consumer):
    """Takes the message off the queue before anything has been done about it."""

    async def _handle(self, acknowledger: Acknowledger, tag: int, delivery: Delivery) -> None:
        await acknowledger.acknowledge(tag)
        await self._handler(delivery)


class StartsTwice(RealtimeKitClient):
    """Repeats a start, as a client that retries without thinking would."""

    async def start_track_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        await super().start_track_recording(body)
        return await super().start_track_recording(body)


class DropsAnEvent(OutboxRelay):
    """Takes every file event for sent, and never sends it."""

    async def _publish_all(self, waiting: list[UnsentEvent]) -> list[UnsentEvent]:
        await super()._publish_all([one for one in waiting if "file_ready" not in one.event_type])
        return waiting


class ChangesAnId(OutboxRelay):
    """Makes up an id for each publication."""

    def _message(self, one: UnsentEvent) -> Outgoing:
        event: dict[str, Any] = msgspec.json.decode(one.body)
        event["id"] = str(uuid.uuid4())
        body = msgspec.json.encode(event)
        message = super()._message(one)
        return msgspec.structs.replace(message, body=body, message_id=event["id"])

    async def _publish_all(self, waiting: list[UnsentEvent]) -> list[UnsentEvent]:
        await super()._publish_all(waiting)
        return await super()._publish_all(waiting)  # as after a confirmation that was lost


class ChangesTheBytes(OutboxRelay):
    """Writes the time of publishing into the event."""

    published = 0

    def _message(self, one: UnsentEvent) -> Outgoing:
        self.published += 1
        event: dict[str, Any] = msgspec.json.decode(one.body)
        event["published"] = self.published
        return msgspec.structs.replace(super()._message(one), body=msgspec.json.encode(event))

    async def _publish_all(self, waiting: list[UnsentEvent]) -> list[UnsentEvent]:
        await super()._publish_all(waiting)
        return await super()._publish_all(waiting)


class SendsTheLastFirst(OutboxRelay):
    """Publishes what waits of a recording in the wrong order."""

    async def _publish_all(self, waiting: list[UnsentEvent]) -> list[UnsentEvent]:
        return await super()._publish_all(waiting[::-1])


BREAKAGES: Mapping[str, tuple[str, type]] = {
    "acknowledges-early": ("Consumer", AcknowledgesEarly),
    "starts-twice": ("RealtimeKitClient", StartsTwice),
    "drops-an-event": ("OutboxRelay", DropsAnEvent),
    "changes-an-id": ("OutboxRelay", ChangesAnId),
    "changes-the-bytes": ("OutboxRelay", ChangesTheBytes),
    "sends-the-last-first": ("OutboxRelay", SendsTheLastFirst),
}


if __name__ == "__main__":
    room, broken = BREAKAGES[os.environ["FAULT_BREAKAGE"]]
    for where in (worker.app, worker.realtimekit.apps):
        if room in vars(where):
            vars(where)[room] = broken
    main(["run"])
