"""Subscribes to the API's webhooks: exactly one subscription per app, however often it is repeated.

Subscriptions of other programs have other URLs. They are not changed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal
from urllib.parse import quote

import msgspec
import structlog

from worker.domain.command_keys import DEFAULT_APP
from worker.domain.errors import ApiError, NotFound, StoreUnavailable
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.decoding.webhooks import MEETING_STARTED, RECORDING_STATUS_UPDATE
from worker.realtimekit.models import Webhook
from worker.realtimekit.urls import is_same_url
from worker.store.cursors import missed_webhook_cursor
from worker.store.store import Store

NAME: Final = "recording-worker"
PATH: Final = "/webhooks/realtimekit"
"""The path that receives webhooks. The query `app=<name>` names the app."""

EVENTS: Final = (RECORDING_STATUS_UPDATE, MEETING_STARTED)
LEADER_CHECK_SECONDS: Final = 1.0
MAX_RETRY_DELAY_SECONDS: Final = 60.0
MISS_CHECK_SECONDS: Final = 600.0
"""How often to look whether a webhook did not arrive. Also the least time between registrations."""

RegistrationAction = Literal["added", "changed", "unchanged"]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The app's one subscription, what was done to it, and how many duplicates were removed."""

    webhook: Webhook
    action: RegistrationAction
    removed: int


def callback_url(public_url: str, app: str) -> str:
    """The URL for the webhooks of `app`. The default app's URL has no query.

    `public_url` may have the path already.
    """
    url = public_url.rstrip("/").removesuffix(PATH) + PATH
    return url if app == DEFAULT_APP else f"{url}?app={quote(app, safe='')}"


async def register(api: RealtimeKitClient, url: str) -> Registration:
    """Leave exactly one subscription to `url`, enabled and with the events the worker needs.

    Raises ApiError and StoreUnavailable. In any case it may be called again.
    """
    found = await find_subscriptions(api, url)
    webhook, action = await _ensure(api, url, found[0] if found else None)
    if action == "added":  # another caller may have added one at the same moment
        found = await find_subscriptions(api, url) or [webhook]
        webhook = found[0]
    for duplicate in found[1:]:
        await _delete(api, duplicate)
    return Registration(webhook=webhook, action=action, removed=len(found[1:]))


async def remove(api: RealtimeKitClient, url: str) -> tuple[Webhook, ...]:
    """Remove every subscription to `url` and return them."""
    found = await find_subscriptions(api, url)
    for webhook in found:
        await _delete(api, webhook)
    return tuple(found)


async def find_subscriptions(api: RealtimeKitClient, url: str) -> list[Webhook]:
    """The subscriptions to `url`, in an order that is the same for every caller.

    The API may return a URL in another spelling than it was registered in.
    """
    found = [webhook for webhook in await api.list_webhooks() if is_same_url(webhook.url, url)]
    return sorted(found, key=lambda webhook: webhook.webhook_id)


async def keep_registered(
    api: RealtimeKitClient,
    url: str,
    store: Store,
    *,
    app: str,
    is_leader: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Register at the start, and again after a sweep found a change that no webhook reported.

    Somebody may have removed or disabled the subscription since.
    """
    while True:
        await register_as_leader(api, url, app=app, is_leader=is_leader, sleep=sleep)
        registered_at = store.now()
        await sleep(MISS_CHECK_SECONDS)
        while not await _has_missed_since(store, app, registered_at):
            await sleep(MISS_CHECK_SECONDS)


async def _has_missed_since(store: Store, app: str, since: float) -> bool:
    try:
        missed_at = await store.cursor(missed_webhook_cursor(app))
    except StoreUnavailable:
        return False  # readiness reports it
    return missed_at is not None and missed_at > since


async def register_as_leader(
    api: RealtimeKitClient,
    url: str,
    *,
    app: str,
    is_leader: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Register once this replica is the leader, and try again until the API accepts it.

    Errors of the store also lead to another try. Only the leader registers, because the API accepts
    the same URL twice.
    """
    logger, delay = structlog.get_logger(), LEADER_CHECK_SECONDS
    while True:
        if is_leader():
            try:
                registration = await register(api, url)
            except (ApiError, StoreUnavailable) as error:
                logger.warning("webhook_registration_failed", app=app, reason=str(error))
                delay = min(delay * 2, MAX_RETRY_DELAY_SECONDS)
            else:
                logger.info(
                    "webhook_registered",
                    app=app,
                    url=url,
                    action=registration.action,
                    removed=registration.removed,
                )
                return
        await sleep(delay)


async def _ensure(
    api: RealtimeKitClient, url: str, webhook: Webhook | None
) -> tuple[Webhook, RegistrationAction]:
    if webhook is None:
        return await api.create_webhook(name=NAME, url=url, events=EVENTS), "added"
    if _is_up_to_date(webhook):
        return webhook, "unchanged"
    if webhook.enabled is False:
        structlog.get_logger().warning(
            "webhook_found_disabled", webhook_id=webhook.webhook_id, url=url
        )
    changed = await api.replace_webhook(
        webhook.webhook_id, name=NAME, url=url, events=EVENTS, enabled=True
    )
    return changed, "changed"


def _is_up_to_date(webhook: Webhook) -> bool:
    has_events = set(webhook.events) == set(EVENTS)
    return webhook.name == NAME and has_events and webhook.enabled is not False


async def _delete(api: RealtimeKitClient, webhook: Webhook) -> None:
    try:
        await api.delete_webhook(webhook.webhook_id)
    except NotFound:
        return  # another caller has deleted it
