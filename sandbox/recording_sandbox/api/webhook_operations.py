"""The operations on webhook subscriptions."""

from uuid import uuid4

import msgspec

from recording_sandbox.api import request_bodies as bodies
from recording_sandbox.api import validation
from recording_sandbox.api.call import Call, Reply
from recording_sandbox.api.webhook_subscriptions import Subscription, WebhookSubscriptions
from recording_sandbox.model.clock import Clock, iso
from recording_sandbox.model.errors import NotFound


class WebhookOperations:
    """Handlers of the paths below `/webhooks`."""

    def __init__(self, clock: Clock, subscriptions: WebhookSubscriptions) -> None:
        self._clock = clock
        self._subscriptions = subscriptions

    def list_webhooks(self, call: Call) -> Reply:
        """GET /webhooks."""
        return Reply(
            data=[_response(webhook) for webhook in self._subscriptions.of_app(call.app_id)]
        )

    def events(self, call: Call) -> Reply:
        """GET /webhooks/all: the names of the events, not the subscriptions."""
        del call
        return Reply(data=list(validation.EVENTS))

    def add(self, call: Call) -> Reply:
        """POST /webhooks."""
        body = validation.decode(call.body, bodies.AddWebhook)
        validation.check_webhook(body)
        now = self._clock.now()
        subscription = Subscription(
            id=str(uuid4()),
            app_id=call.app_id,
            created_at=now,
            updated_at=now,
            **msgspec.structs.asdict(body),
        )
        self._subscriptions.put(subscription)
        return Reply(data=_response(subscription), status=201)

    def get(self, call: Call) -> Reply:
        """GET /webhooks/{webhook_id}."""
        return Reply(data=_response(self._find(call)))

    def replace(self, call: Call) -> Reply:
        """PUT /webhooks/{webhook_id}."""
        return self._change(call, validation.decode(call.body, bodies.AddWebhook))

    def edit(self, call: Call) -> Reply:
        """PATCH /webhooks/{webhook_id}."""
        return self._change(call, validation.decode(call.body, bodies.EditWebhook))

    def delete(self, call: Call) -> Reply:
        """DELETE /webhooks/{webhook_id}: the response is the removed subscription."""
        subscription = self._find(call)
        self._subscriptions.remove(subscription)
        return Reply(data=_response(subscription))

    def _change(self, call: Call, body: bodies.AddWebhook | bodies.EditWebhook) -> Reply:
        validation.check_webhook(body)
        fields = msgspec.structs.asdict(body).items()
        changes = {name: value for name, value in fields if value is not None}
        subscription = msgspec.structs.replace(
            self._find(call), updated_at=self._clock.now(), **changes
        )
        self._subscriptions.put(subscription)
        return Reply(data=_response(subscription))

    def _find(self, call: Call) -> Subscription:
        subscription = self._subscriptions.find(validation.uuid("id", call.path["webhook_id"]))
        if subscription is None or subscription.app_id != call.app_id:
            raise NotFound("webhook")
        return subscription


def _response(subscription: Subscription) -> dict[str, object]:
    return {
        "id": subscription.id,
        "name": subscription.name,
        "url": subscription.url,
        "events": subscription.events,
        "created_at": iso(subscription.created_at),
        "updated_at": iso(subscription.updated_at),
        "enabled": subscription.enabled,
    }
