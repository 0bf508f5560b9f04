"""Reads from a message's headers why the broker dead-lettered it. Pure."""

from collections.abc import Mapping
from typing import Final, cast

from worker.broker.headers import with_trusted_headers
from worker.broker.messages import Delivery

EXPIRED: Final = "expired"
"""The reason for a message that stayed longer than its publisher or a policy allows."""

REJECTED: Final = "rejected"
"""The reason for a message that a consumer rejected, for example a worker because of its size."""

REASONS: Final[Mapping[str, str]] = {
    EXPIRED: "it stayed in the queue longer than the broker may keep it",
    "delivery_limit": "the broker reached its delivery limit: each time the consumer was lost",
    "maxlen": "the queue of commands was full",
    REJECTED: "a consumer rejected it: a worker does so with a body above WORKER_MAX_COMMAND_BYTES",
}
"""The meanings of the broker's reasons."""


def latest_death(headers: Mapping[str, object], queue: str) -> Mapping[str, object] | None:
    """The broker's latest record (`x-death`) for this queue. The broker lists the latest first.

    The record is empty if the records are too large to read. A publisher may have written the first
    ones.
    """
    deaths = headers.get("x-death")
    if isinstance(deaths, bytes):
        return {}
    if not isinstance(deaths, list):
        return None
    records = (cast("dict[str, object]", death) for death in deaths if isinstance(death, dict))
    return next((record for record in records if record.get("queue") == queue), None)


def read_dead_letter(delivery: Delivery, command_queue: str) -> Delivery:
    """A copy of a dead letter, marked with the reason if the broker dead-lettered the command.

    A worker removes the broker's records from the messages that it dead-letters itself.
    """
    death = latest_death(delivery.headers, command_queue)
    delivery = with_trusted_headers(delivery, command_queue)
    return delivery if death is None else delivery.with_dead_reason(_reason_of(death))


def _reason_of(death: Mapping[str, object]) -> str:
    """The reason in a record of the broker, "unknown" if it is none of `REASONS`."""
    reason = death.get("reason")
    return reason if isinstance(reason, str) and reason in REASONS else "unknown"


def explanation(reason: str) -> str:
    """The meaning of a reason, as text for users."""
    return REASONS.get(reason, f"the broker dead-lettered it ({reason})")
