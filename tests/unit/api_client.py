"""A client of the API whose requests a test answers at the wire."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.retry import RequestRetry

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


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
