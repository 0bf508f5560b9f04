"""Reads from a message's headers why it is in the dead-letter queue. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, cast

import msgspec

from worker.broker.deaths import explanation, latest_death
from worker.broker.headers import was_in_retry_queue
from worker.broker.messages import ATTEMPTS_HEADER, FIRST_SEEN_HEADER, MAX_COUNT

FIRST_SEEN_BEFORE_REPLAY: Final = "x-replay-first-seen"
"""The header of a replayed message with the time when a worker first received it."""

ATTEMPTS_BEFORE_REPLAY: Final = "x-replay-attempts"
"""The header of a replayed message with the number of attempts before the replay."""

MAX_TEXT_LENGTH: Final = 1000


class DeadLetterReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a message was dead-lettered, and by whom. A fact that the headers lack is None.

    `attempts` counts the workers' attempts over all replays. `first_seen` is when a worker first
    received the message, `last_seen` when it was dead-lettered.
    """

    by: Literal["worker", "broker", "unknown"]
    code: str
    message: str | None = None
    attempts: int | None = None
    first_seen: datetime | None
    last_seen: datetime | None


def reason_from_headers(headers: Mapping[str, object], *, dead_queue: str) -> DeadLetterReason:
    """Read the reason. Never raises, because publishers may have written any headers.

    A worker that dead-letters a message removes the broker's own record (`x-death`). So a record
    for the command queue means that the broker dead-lettered the message after any worker did.
    """
    command_queue = dead_queue.removesuffix(".dead")
    death = latest_death(headers, command_queue)
    # If no worker made a copy of it, the publisher wrote these headers.
    is_copy = death is None or was_in_retry_queue(headers, command_queue)
    attempts = _attempts(headers, is_copy)
    first_seen = _time(headers.get(FIRST_SEEN_BEFORE_REPLAY)) or (
        _time(headers.get(FIRST_SEEN_HEADER)) if is_copy else None
    )
    if death is not None:
        code, died_at = _text(death.get("reason")) or "unknown", _time(death.get("time"))
        return DeadLetterReason(
            by="broker",
            code=code,
            message=explanation(code),
            attempts=attempts,
            first_seen=first_seen or died_at,
            last_seen=died_at,
        )
    reason_code = _text(headers.get("x-reason-code"))
    return DeadLetterReason(
        by="worker" if reason_code else "unknown",
        code=reason_code or "unknown",
        message=_text(headers.get("x-reason")),
        attempts=attempts,
        first_seen=first_seen,
        last_seen=_time(headers.get("x-last-seen")),
    )


def _attempts(headers: Mapping[str, object], is_copy: bool) -> int | None:
    counts = [_count(headers.get(ATTEMPTS_BEFORE_REPLAY))]
    if is_copy:
        counts.append(_count(headers.get(ATTEMPTS_HEADER)))
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _text(value: object) -> str | None:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
    return cast("int", value) if fits else None


def _time(value: object) -> datetime | None:
    """The time in UTC. None for any other value."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(time, datetime):
            return None
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # a day in the year 1 may be none in UTC
        return None
