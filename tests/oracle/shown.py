"""What workers were certainly shown: by answers and webhooks, after which they ran undisturbed."""

from collections.abc import Iterator
from typing import Final

from tests.oracle.evidence import Evidence
from tests.oracle.truth import Recording, Request

UNDISTURBED_SECONDS: Final = 3.0
"""A replica that runs for so long after an answer must have told what it showed."""


def shown_statuses(recording: Recording, evidence: Evidence) -> Iterator[tuple[str, float]]:
    """The statuses of the recording that a replica was shown, and when.

    A page of a sweep does not count: the sweep may read the list once more, from its other end.
    """
    for request in evidence.truth.requests:
        if request.done is None or request.fault not in {"none", "slow"} or _is_sweep(request):
            continue
        for shown_id, status in request.shown:
            if shown_id == recording.id and _runs(request.replica, request.done, evidence):
                yield status, request.done
    for delivery in evidence.truth.deliveries:
        is_ours = delivery.recording == recording.id and not delivery.forged
        if is_ours and delivery.answer == 204 and delivery.status:
            yield delivery.status, delivery.at


def _is_sweep(request: Request) -> bool:
    return request.operation == "list" and "sort_by" in request.query


def _runs(replica: int, at: float, evidence: Evidence) -> bool:
    return not any(
        absence.replica == replica
        and absence.begin < at + UNDISTURBED_SECONDS
        and absence.end > at - 1.0
        for absence in evidence.absences
    )
