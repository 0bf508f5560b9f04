"""The headers that workers and the broker add to a message, and which headers the worker trusts.

A publisher can write any header, even the worker's own. The worker trusts its own headers in two
cases: the broker moved the message from a retry queue to the command queue, or a worker published
it from its store. Two facts prove this. The delivery names the default exchange, which excludes
every message that was published to the exchange of commands. And `x-death`, which the broker
writes, names a retry queue, or there is `x-unparked`.

A client that may publish to the default exchange can forge both. That harms only its own command.
The command may expire early, wait for crash suspects, be executed although it is parked, or adopt
a recording of its meeting that no start began.
"""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from worker.broker.messages import (
    ATTEMPTS_HEADER,
    CALLED_AT_HEADER,
    DEAD_REASON_HEADER,
    DELIVERY_COUNT_HEADER,
    FIRST_SEEN_HEADER,
    REDELIVERY_COUNT_HEADER,
    UNPARKED_HEADER,
    Delivery,
)

MAX_ROUTING_KEY_BYTES: Final = 255
_DEATH_FIELDS: Final = ("exchange", "queue", "reason")

LAST_SEEN: Final = "x-last-seen"
ROUTING_KEY: Final = "x-original-routing-key"
REASON_CODE: Final = "x-reason-code"
REASON: Final = "x-reason"
DROPPED_HEADERS: Final = "x-dropped-headers"
"""How many of the publisher's headers could not be kept."""
USER_ID: Final = "x-original-user-id"
"""The publisher's `user_id`. A copy may have that property only if it is the worker's own user."""
EXPIRATION: Final = "x-original-expiration"
"""The publisher's `expiration`. With that property, a copy would expire before its delay."""
ADDED_MESSAGE_ID: Final = "x-message-id-added"
"""The publisher gave no `message_id`. The worker added one, because a copy needs it."""

WORKER_HEADERS: Final = frozenset(
    {
        ATTEMPTS_HEADER,
        FIRST_SEEN_HEADER,
        REDELIVERY_COUNT_HEADER,
        LAST_SEEN,
        ROUTING_KEY,
        REASON_CODE,
        REASON,
        DROPPED_HEADERS,
        USER_ID,
        EXPIRATION,
        ADDED_MESSAGE_ID,
        DEAD_REASON_HEADER,
        CALLED_AT_HEADER,
        UNPARKED_HEADER,
    }
)
"""The headers that the worker writes on copies. It removes them from a publisher's message."""

REPLAYED_HEADERS: Final = frozenset({LAST_SEEN, REASON_CODE, REASON, DROPPED_HEADERS, USER_ID})
"""A replay has these headers, which say why the letter was dead. The next copy lacks them."""

BROKER_HEADERS: Final = frozenset(
    {
        "x-death",
        *(f"x-{stay}-death-{field}" for stay in ("first", "last") for field in _DEATH_FIELDS),
        "x-delivery-count",
        "x-acquired-count",
    }
)
"""Headers of the broker about a stay in one queue. A copy starts without them."""

ROUTING_HEADERS: Final = frozenset({"CC", "BCC"})
"""Headers with more routing keys. The broker would deliver each copy to those queues again."""

_NOT_SENT_ON: Final = WORKER_HEADERS | ROUTING_HEADERS | BROKER_HEADERS


def with_trusted_headers(delivery: Delivery, command_queue: str) -> Delivery:
    """The delivery without the worker's headers if a publisher may have written them."""
    headers = delivery.headers
    if not headers:
        return delivery
    if is_from_worker(delivery, command_queue):
        message_id = None if headers.get(ADDED_MESSAGE_ID) is True else delivery.message_id
        key = original_routing_key(headers, delivery.routing_key)
        return msgspec.structs.replace(delivery, routing_key=key, message_id=message_id)
    kept_headers = {name: value for name, value in headers.items() if name not in WORKER_HEADERS}
    if not delivery.redelivered:  # the broker replaces this one at each redelivery
        kept_headers.pop(DELIVERY_COUNT_HEADER, None)
    return msgspec.structs.replace(delivery, headers=kept_headers)


def is_from_worker(delivery: Delivery, command_queue: str) -> bool:
    """Whether the message is a worker's copy: from a retry queue, or from the store."""
    if delivery.exchange != "" or delivery.routing_key != command_queue:
        return False
    headers = delivery.headers
    return UNPARKED_HEADER in headers or was_in_retry_queue(headers, command_queue)


def was_in_retry_queue(headers: Mapping[str, object], command_queue: str) -> bool:
    """Whether `x-death` names a retry queue of any delay."""
    deaths = headers.get("x-death")
    prefix = f"{command_queue}.retry."
    return isinstance(deaths, list) and any(
        isinstance(death, dict) and str(death.get("queue", "")).startswith(prefix)
        for death in deaths
    )


def original_routing_key(headers: Mapping[str, object], routing_key: str) -> str:
    """The key of the first publish, even if the message was in a retry queue since."""
    original = headers.get(ROUTING_KEY)
    fits = isinstance(original, str) and len(original.encode()) <= MAX_ROUTING_KEY_BYTES
    return cast("str", original) if fits else routing_key


def is_sent_on(name: str) -> bool:
    """Whether a copy keeps this header of the original message."""
    return name not in _NOT_SENT_ON


def is_replayed(name: str) -> bool:
    """Whether a replay repeats this header of the letter. The reason stays, counts begin anew."""
    return is_sent_on(name) or name in REPLAYED_HEADERS
