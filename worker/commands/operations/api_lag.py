"""Distinguishes a recording that the API does not show yet from one that is gone."""

from datetime import timedelta
from typing import Final

from worker.commands.operations.context import OperationContext
from worker.domain.recording import Recording

API_LAG: Final = timedelta(seconds=30)
"""The API may not find a recording that the worker first observed less than this ago."""


def is_new(recording: Recording | None, context: OperationContext) -> bool:
    """Whether the recording has just begun, so that a 404 does not mean that it is gone."""
    first_seen_at = recording.first_seen_at if recording else None
    return first_seen_at is not None and context.now() - first_seen_at < API_LAG
