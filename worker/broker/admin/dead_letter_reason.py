"""Why a message lies in the dead-letter queue: what its headers say. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, cast

import msgspec

FIRST_SEEN_BEFORE_REPLAY: Final = "x-replay-first-seen"
"""When a worker had it first, on a message that was sent back since."""

MAX_TEXT_LENGTH: Final = 1000
MAX_COUNT: Final = 2**31


class DeadLetterReason(msgspec.Struct, frozen=True, kw_only=True):
    """Who put it there and why; None for what the headers do not tell.

    `attempts` is how often workers tried, over all replays. `first_seen` is when a worker had it
    first, `last_seen` when it was given up.
    """

    by: Literal["worker", "broker", "unknown"]
    code: str
    message: str | None = None
    attempts: int | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None


def reason_from_headers(headers: Mapping[str, object], *, dead_queue: str) -> DeadLetterReason:
    """Read it from the headers of a dead letter. Strangers may have written them: never raises.

    A worker that buries a message takes the broker's own account (`x-death`) away, so where there
    is one of a burial in this queue's command queue, the broker did it last, and a reason that
    a worker gave before that is history.
    """
    attempts = _count(headers.get("x-attempts"))
    first_seen = _time(headers.get(FIRST_SEEN_BEFORE_REPLAY)) or _time(headers.get("x-first-seen"))
    if (death := _death(headers, dead_queue.removesuffix(".dead"))) is not None:
        code, died = _text(death.get("reason")) or "unknown", _time(death.get("time"))
        return DeadLetterReason(
            by="broker",
            code=code,
            message=_IN_WORDS.get(code, f"the broker moved it here ({code})"),
            attempts=attempts,
            first_seen=first_seen or died,
            last_seen=died,
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


_IN_WORDS: Final = {
    "delivery_limit": "the broker delivered it again and again: each time its consumer was lost",
    "expired": "it stayed in the queue for longer than the broker was told to keep it",
    "maxlen": "the queue of commands was full",
    "rejected": "a consumer refused it",
}


def _death(headers: Mapping[str, object], command_queue: str) -> Mapping[str, object] | None:
    """The broker's latest account of a burial from the command queue. It lists the latest first."""
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return None
    told = (cast("dict[str, object]", one) for one in deaths if isinstance(one, dict))
    return next((one for one in told if one.get("queue") == command_queue), None)


def _text(value: object) -> str | None:
    return value[:MAX_TEXT_LENGTH] if isinstance(value, str) and value else None


def _count(value: object) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
    return cast("int", value) if fits else None


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
