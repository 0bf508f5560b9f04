"""Properties of AMQP messages that careless and hostile publishers set."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any, Final

RECORDER_QUEUE: Final = "chaos.recorder"
"""The queue where misrouted copies of commands would arrive. Its messages are judged, too."""

ODD_HEADERS: Final[tuple[dict[str, Any], ...]] = (
    {"CC": ["nobody", RECORDER_QUEUE]},
    {"BCC": [RECORDER_QUEUE]},
    {"x-first-seen": 1.0},
    {"x-first-seen": 10**15},
    {"x-first-seen": "yesterday"},
    {"x-attempts": 1_000_000},
    {"x-delivery-count": 1_000_000},
    {"x-reason-code": "made_up", "x-reason": "\x1b[2J"},
    {"x-death": [{"count": 10**6, "queue": "chaos.commands", "reason": "delivery_limit"}]},
    {"traceparent": bytearray(b"\xff\xfe"), "tracestate": 7},
    {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
    {"nested": {"a": [1, {"b": None}], "c": Decimal("1.5"), "d": datetime(1970, 1, 1, tzinfo=UTC)}},
    {"float": 1e30, "large": 2**62, "bytes": bytearray(range(256)), "empty": ""},
    {f"h{number}": "x" * 100 for number in range(100)},
)
ODD_PROPERTIES: Final[tuple[dict[str, Any], ...]] = (
    {"priority": 255},
    {"expiration": 3600.0},
    {"timestamp": datetime(9999, 12, 31, tzinfo=UTC)},
    {"timestamp": datetime(1970, 1, 1, tzinfo=UTC)},
    {"type": "\u202e" * 10},
    {"app_id": "x" * 255},
    {"user_id": "guest"},
)


def hostile_properties(dice: Random) -> dict[str, Any]:
    """Arguments of `aio_pika.Message` beyond the usual ones."""
    properties: dict[str, Any] = {}
    if dice.random() < 0.7:
        properties["headers"] = dice.choice(ODD_HEADERS)
    if dice.random() < 0.5:
        properties |= dice.choice(ODD_PROPERTIES)
    return properties
