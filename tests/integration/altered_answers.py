"""The emulated API behind a connection that alters its answers, for answers it never gives."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.http.transport import HttpTransport
from worker.realtimekit.retry import RequestRetry

Alter = Callable[[httpx.Request, Any], None]
"""Changes the decoded body of the answer to a request in place."""


def unaltered(_request: httpx.Request, _body: Any) -> None:
    """Leaves the answer as it is."""


class AlteringTransport(httpx.AsyncBaseTransport):
    """Sends requests over real connections. `alter` changes each answer before it is decoded.

    The API ignores the parameters in `ignores`.
    """

    def __init__(self, alter: Alter, ignores: Sequence[str]) -> None:
        self._alter = alter
        self._ignores = ignores
        self._inner = HttpTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for name in self._ignores:
            request.url = request.url.copy_remove_param(name)
        response = await self._inner.handle_async_request(request)
        body = json.loads(await response.aread())
        self._alter(request, body)
        kept = {name: value for name, value in response.headers.items() if name == "date"}
        return httpx.Response(response.status_code, headers=kept, json=body)

    async def aclose(self) -> None:
        await self._inner.aclose()


def altered_client(
    base_url: str, alter: Alter = unaltered, *, ignores: Sequence[str] = ()
) -> RealtimeKitClient:
    """A client of the API at `base_url` whose answers are altered. Close it with `aclose`."""
    return RealtimeKitClient(
        base_url=base_url,
        account_id="acc",
        app_id="app",
        token=lambda: "token",
        timeout=20.0,
        retry=RequestRetry(attempts=1),
        transport=AlteringTransport(alter, ignores),
    )


def rows_of(body: Any) -> list[dict[str, Any]]:
    """All recordings in an answer: those of a list, a single one, or that of a start."""
    data = body.get("data") or []
    items = data if isinstance(data, list) else [data.get("recording", data)]
    return [item for item in items if isinstance(item, dict) and "status" in item]
