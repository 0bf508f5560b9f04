"""Has the API send its webhooks here: one subscription for an app, however often it is asked for.

Another's subscriptions are told from ours by their URLs, and left alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal
from urllib.parse import quote

import msgspec
import structlog

from worker.domain.errors import ApiError, NotFound
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.decoding.webhooks import STATUS_UPDATE
from worker.realtimekit.models import Webhook

NAME: Final = "recording-worker"
PATH: Final = "/webhooks/realtimekit"
"""Where they are served. A query `app=name` says which app they are for."""

EVENTS: Final = (STATUS_UPDATE,)
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0

What = Literal["added", "changed", "unchanged"]


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The app's one subscription, what was done about it, and how many doubles were removed."""

    webhook: Webhook
    what: What
    removed: int = 0


def callback_url(public_url: str, app: str) -> str:
    """Where the API is to send the webhooks of `app`: its name is only left out for the default."""
    url = public_url.rstrip("/") + PATH
    return url if app == "default" else f"{url}?app={quote(app, safe='')}"


async def register(api: RealtimeKitClient, url: str) -> Registration:
    """Leave exactly one subscription to `url`, as the worker needs it and switched on.

    Raises what the API raises. Whatever came of that, it may be called again.
    """
    found = await ours(api, url)
    webhook, what = await _set_up(api, url, found[0] if found else None)
    if what == "added":  # somebody else may have added one in the same moment
        found = await ours(api, url) or [webhook]
        webhook = found[0]
    for double in found[1:]:
        await _delete(api, double)
    return Registration(webhook=webhook, what=what, removed=len(found[1:]))


async def remove(api: RealtimeKitClient, url: str) -> tuple[Webhook, ...]:
    """Leave no subscription to `url`; returns those that were removed."""
    found = await ours(api, url)
    for one in found:
        await _delete(api, one)
    return tuple(found)


async def ours(api: RealtimeKitClient, url: str) -> list[Webhook]:
    """The subscriptions to `url`, in an order that is the same for whoever asks."""
    found = [one for one in await api.list_webhooks() if one.url == url]
    return sorted(found, key=lambda one: one.webhook_id)


async def keep_registered(
    api: RealtimeKitClient,
    url: str,
    *,
    app: str,
    leads: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Register once this replica leads; tried again for as long as it does not work.

    Only the leader does, as the API takes one URL twice.
    """
    logger, pause = structlog.get_logger(), FIRST_PAUSE
    while True:
        if leads():
            try:
                done = await register(api, url)
            except ApiError as error:
                logger.warning("webhook_registration_failed", app=app, reason=str(error))
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                logger.info(
                    "webhook_registered", app=app, url=url, what=done.what, removed=done.removed
                )
                return
        await sleep(pause)


async def _set_up(api: RealtimeKitClient, url: str, found: Webhook | None) -> tuple[Webhook, What]:
    if found is None:
        return await api.create_webhook(name=NAME, url=url, events=EVENTS), "added"
    if found.name == NAME and set(found.events) == set(EVENTS) and found.enabled is not False:
        return found, "unchanged"
    if found.enabled is False:
        structlog.get_logger().warning("webhook_was_disabled", webhook_id=found.webhook_id, url=url)
    changed = await api.replace_webhook(
        found.webhook_id, name=NAME, url=url, events=EVENTS, enabled=True
    )
    return changed, "changed"


async def _delete(api: RealtimeKitClient, webhook: Webhook) -> None:
    try:
        await api.delete_webhook(webhook.webhook_id)
    except NotFound:
        return  # somebody else was quicker
