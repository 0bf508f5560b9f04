"""The workers keep to the request budget, and to the pauses that the API asks for."""

from collections.abc import Iterator
from typing import Final

from tests.oracle.evidence import Evidence

TRAVEL_SECONDS: Final = 0.25
"""Requests may take so much longer on their way than others."""


def check_requests(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    times = sorted(request.at for request in evidence.truth.requests)
    for count, seconds in evidence.limits.budget:
        for first, last in zip(times, times[count:], strict=False):
            if last - first < seconds - TRAVEL_SECONDS - evidence.longest_stall:
                yield f"{count + 1} requests within {last - first:.2f} of {seconds:g} seconds"
                break
    yield from _impatient(evidence)


def _impatient(evidence: Evidence) -> Iterator[str]:
    """A replica sends nothing while the gateway's Retry-After lasts."""
    requests = evidence.truth.requests
    for refused in requests:
        if refused.retry_after is None or refused.fault not in {"throttled", "gateway 429"}:
            continue
        told = refused.done or 0.0
        begin = told + TRAVEL_SECONDS + evidence.longest_stall
        end = told + refused.retry_after - TRAVEL_SECONDS
        early = [
            request
            for request in requests
            if request.replica == refused.replica and begin < request.at < end
        ]
        if early:
            yield (
                f"replica {refused.replica} sent {early[0].operation} {early[0].at - told:.2f} "
                f"seconds after it was told to wait {refused.retry_after:.2f}"
            )
            return
