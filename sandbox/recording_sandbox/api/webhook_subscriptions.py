"""Webhook subscriptions: which URL receives which events of which app."""

import msgspec


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook as its app registered it. Times are epoch seconds of sandbox time."""

    id: str
    app_id: str
    name: str
    url: str
    events: tuple[str, ...]
    enabled: bool
    created_at: float
    updated_at: float


class WebhookSubscriptions:
    """All subscriptions by id. The same URL may be subscribed twice, as at the real API."""

    def __init__(self) -> None:
        self._by_id: dict[str, Subscription] = {}

    def receiving(self, app_id: str | None, event: str) -> list[Subscription]:
        """The enabled subscriptions to `event` of this app; of every app if `app_id` is None."""
        return [
            subscription
            for subscription in self._by_id.values()
            if subscription.enabled
            and event in subscription.events
            and app_id in (None, subscription.app_id)
        ]

    def of_app(self, app_id: str) -> list[Subscription]:
        """The subscriptions of an app, in the order in which they were added."""
        return [webhook for webhook in self._by_id.values() if webhook.app_id == app_id]

    def find(self, subscription_id: str) -> Subscription | None:
        """The subscription, or None."""
        return self._by_id.get(subscription_id)

    def put(self, subscription: Subscription) -> None:
        """Add or replace a subscription."""
        self._by_id[subscription.id] = subscription

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription. KeyError if there is none of its id."""
        del self._by_id[subscription.id]
