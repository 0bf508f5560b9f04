"""Sends webhooks about recordings and meetings, with the faults that concern them."""

from uuid import uuid4

import msgspec

from recording_sandbox.api import webhook_payloads
from recording_sandbox.api.recording_responses import RecordingResponses
from recording_sandbox.api.webhook_sender import Delivery, WebhookSender
from recording_sandbox.api.webhook_subscriptions import WebhookSubscriptions
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.faults import Faults, WebhookKind
from recording_sandbox.model.meeting import MeetingEvent
from recording_sandbox.model.recording import Recording

RECORDING_EVENT = "recording.statusUpdate"


class Webhooks:
    """Turns each change into one delivery per subscription, and hands it to the sender.

    The body is fixed when the change happens, however late it is delivered.
    """

    def __init__(
        self,
        behaviour: Behaviour,
        faults: Faults,
        subscriptions: WebhookSubscriptions,
        responses: RecordingResponses,
        sender: WebhookSender,
    ) -> None:
        self._behaviour = behaviour
        self._faults = faults
        self._subscriptions = subscriptions
        self._responses = responses
        self._sender = sender
        self._held_back: Delivery | None = None

    def on_recording(self, recording: Recording) -> None:
        """Deliver a recording's new status, if webhooks are sent for it."""
        if recording.status not in self._behaviour.webhook_statuses:
            return
        app_id = recording.request.app_id
        subscriptions = self._subscriptions.receiving(app_id, RECORDING_EVENT)
        body = self._recording_body(recording) if subscriptions else b""
        for subscription in subscriptions:
            delivery = Delivery(
                subscription=subscription,
                event=RECORDING_EVENT,
                body=body,
                recording_id=recording.id,
                status=recording.status,
            )
            self._deliver(delivery, meeting_id=recording.request.meeting_id)

    def on_meeting(self, event: MeetingEvent) -> None:
        """Deliver that a participant joined or left, or that a session started or ended."""
        for subscription in self._subscriptions.receiving(None, event.name):
            body = msgspec.json.encode(webhook_payloads.meeting(event, subscription.app_id))
            delivery = Delivery(subscription=subscription, event=event.name, body=body)
            self._deliver(delivery, meeting_id=event.meeting.id)

    def _recording_body(self, recording: Recording) -> bytes:
        response = self._responses.recording(recording)
        if self._behaviour.webhook_generation == "dyte":
            return msgspec.json.encode(webhook_payloads.dyte(recording, response))
        with_urls = recording.request.kind == "composite" or self._behaviour.webhook_track_urls
        payload = webhook_payloads.cloudflare(recording, response, with_urls=with_urls)
        return msgspec.json.encode(payload)

    def _deliver(self, delivery: Delivery, *, meeting_id: str) -> None:
        """Apply the faults that concern the delivery as a whole, then send it."""

        def triggered(kind: WebhookKind) -> float | None:
            """The fault's seconds (0 if it has none), or None if there is no such fault."""
            fault = self._faults.trigger(
                {kind},
                operation=delivery.event,
                meeting_id=meeting_id,
                recording_id=delivery.recording_id,
            )
            return None if fault is None else (fault.seconds or 0.0)

        if triggered("webhook_drop") is not None:
            self._sender.log(delivery, attempt=0, response_status=None, fault="webhook_drop")
            return
        if triggered("webhook_reorder") is not None and self._held_back is None:
            self._held_back = delivery
            return
        if triggered("webhook_forge") is not None:
            self._sender.send(msgspec.structs.replace(delivery, uuid=str(uuid4()), forged=True))
        delay = triggered("webhook_delay")
        if delay is None:
            self._sender.send(delivery)
        else:
            self._sender.send_later(delivery, delay or 1.0)
        if triggered("webhook_duplicate") is not None:
            self._sender.send(delivery)
        if self._held_back is not None:
            held_back, self._held_back = self._held_back, None
            self._sender.send(held_back)
