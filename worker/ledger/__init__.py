"""What has been spent of a budget of API requests, and how much more may be. Pure.

The API counts requests when they arrive, in windows that slide. Here they are counted when leave is
given, which is up to `LIFETIME_SECONDS` before they are sent and a little longer before they
arrive. So that no window of the API's ever holds more than it may, each is counted as that much
longer, and by whole slots. Times are seconds since the epoch by the clock that all replicas share.
"""

from worker.ledger.settling import Ask, Counts, Grant, Ledger, Spent
from worker.ledger.shares import Grade, Priority
from worker.ledger.window import (
    LIFETIME_SECONDS,
    MARGIN_SECONDS,
    Limit,
    Rate,
    background_rate,
)

__all__ = [
    "LIFETIME_SECONDS",
    "MARGIN_SECONDS",
    "Ask",
    "Counts",
    "Grade",
    "Grant",
    "Ledger",
    "Limit",
    "Priority",
    "Rate",
    "Spent",
    "background_rate",
]
