"""Contexts of operations, for tests without a store."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from worker.commands.operations.context import OperationContext
from worker.domain.recording import Observation, StartContext
from worker.realtimekit.client import RealtimeKitClient


def operation_context(
    api: RealtimeKitClient, command_id: str, *, now: Callable[[], datetime], **fields: Any
) -> OperationContext:
    """An attempt without a deadline, whose lease lasts. The store has nothing."""
    defaults: dict[str, Any] = {
        "check_deadline": lambda: None,
        "confirm_lease": _confirm,
        "keep_intent": _keep,
        "find_replayable": _find_nothing,
        "find_starting": _find_no_calls,
        "find_start_id": _find_no_start,
    }
    return OperationContext(
        api=api,
        app="default",
        now=now,
        start_context=StartContext(start_id=command_id),
        **defaults | fields,
    )


async def _confirm() -> None:
    return


async def _keep(_ids: Collection[str], _adopted: Collection[Observation]) -> None:
    return


async def _find_nothing(_ids: Collection[str]) -> frozenset[str]:
    return frozenset()


async def _find_no_calls(_slots: Collection[str]) -> dict[str, float]:
    return {}


async def _find_no_start(_recording_id: str) -> None:
    return None
