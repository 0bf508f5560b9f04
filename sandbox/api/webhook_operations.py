"""The webhooks resource: who wants to be told of what."""

from uuid import uuid4

import msgspec

from sandbox.api import validation
from sandbox.api.call import Call, Reply
from sandbox.model.clock import Clock, iso
from sandbox.model.errors import NotFound


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription. Times are epoch seconds of sandbox time."""

    id: str
    app_id: str
    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    created_at: float
    updated_at: float


class WebhookOperations:
    """CRUD on subscriptions; nothing stops a URL from being subscribed twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._webhooks: dict[str, Subscription] = {}

    def subscribed(self, app_id: str | None, event: str) -> list[Subscription]:
        """Who is to be told; with no app, those of every app."""
        return [
            webhook
            for webhook in self._webhooks.values()
            if webhook.enabled and event in webhook.events and app_id in (None, webhook.app_id)
        ]

    def listing(self, call: Call) -> Reply:
        """GET /webhooks."""
        mine = [webhook for webhook in self._webhooks.values() if webhook.app_id == call.app_id]
        return Reply(data=[_worded(webhook) for webhook in mine])

    def events(self, call: Call) -> Reply:
        """GET /webhooks/all: the names of the events, not the subscriptions."""
        del call
        return Reply(data=list(validation.EVENTS))

    def add(self, call: Call) -> Reply:
        """POST /webhooks."""
        body = validation.decode(call.body, validation.NewWebhook)
        validation.check_webhook(body)
        now = self._clock.now()
        webhook = Subscription(
            id=str(uuid4()),
            app_id=call.app_id,
            created_at=now,
            updated_at=now,
            **msgspec.structs.asdict(body),
        )
        self._webhooks[webhook.id] = webhook
        return Reply(data=_worded(webhook), status=201)

    def get(self, call: Call) -> Reply:
        """GET /webhooks/{webhook_id}."""
        return Reply(data=_worded(self._named(call)))

    def replace(self, call: Call) -> Reply:
        """PUT /webhooks/{webhook_id}."""
        return self._changed(call, validation.decode(call.body, validation.NewWebhook))

    def edit(self, call: Call) -> Reply:
        """PATCH /webhooks/{webhook_id}."""
        return self._changed(call, validation.decode(call.body, validation.WebhookPatch))

    def delete(self, call: Call) -> Reply:
        """DELETE /webhooks/{webhook_id}: answers with what is gone."""
        webhook = self._named(call)
        del self._webhooks[webhook.id]
        return Reply(data=_worded(webhook))

    def _changed(self, call: Call, body: validation.NewWebhook | validation.WebhookPatch) -> Reply:
        validation.check_webhook(body)
        given = {k: v for k, v in msgspec.structs.asdict(body).items() if v is not None}
        webhook = msgspec.structs.replace(self._named(call), updated_at=self._clock.now(), **given)
        self._webhooks[webhook.id] = webhook
        return Reply(data=_worded(webhook))

    def _named(self, call: Call) -> Subscription:
        webhook_id = validation.uuid("id", call.path["webhook_id"])
        webhook = self._webhooks.get(webhook_id)
        if webhook is None or webhook.app_id != call.app_id:
            raise NotFound("webhook")
        return webhook


def _worded(webhook: Subscription) -> dict[str, object]:
    return {
        "id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "created_at": iso(webhook.created_at),
        "updated_at": iso(webhook.updated_at),
        "enabled": webhook.enabled,
    }
