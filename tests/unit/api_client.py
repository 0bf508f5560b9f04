"""A client of the API whose requests a test answers at the wire."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx

from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"


def id_of(number: int) -> str:
    """The id of the recording with this number in a test."""
    return str(UUID(int=number))


def recording_row(number: int, **fields: Any) -> dict[str, Any]:
    """A live recording of `MEETING` as the API lists it. `fields` are added or replaced."""
    return {"id": id_of(number), "meeting_id": MEETING, "status": "RECORDING", **fields}


def answered_client(answer: Answer, **changes: Any) -> RealtimeKitClient:
    """A client that sends each request once. `changes` are other arguments of the client."""
    arguments: dict[str, Any] = {
        "base_url": "https://api.example",
        "account_id": "acc",
        "app_id": "app",
        "token": lambda: "t",
        "timeout": 5.0,
        "retry": RequestRetry(attempts=1),
    }
    transport = httpx.MockTransport(answer)  # type: ignore[arg-type]
    return RealtimeKitClient(**(arguments | changes), transport=transport)
