"""A sandbox on a clock that moves only by `advance`, and an HTTP client of it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.clock import Clock
from tests.plain_http import NO_AUTHORITIES

BASE = "/accounts/account/realtime/kit/app"


class Client:
    """Calls the operations as a client of the API does. `sandbox` gives access to its state."""

    def __init__(self, sandbox: Sandbox, http: httpx.AsyncClient) -> None:
        self.sandbox = sandbox
        self.http = http
        self.meeting_id = str(uuid.UUID(int=7))

    async def call(self, method: str, path: str, **fields: Any) -> httpx.Response:
        return await self.http.request(method, BASE + path, **fields)

    async def get(self, path: str, **query: Any) -> Any:
        return (await self.call("GET", path, params=query)).json()

    async def start_track(self, **fields: Any) -> str:
        body = {"meeting_id": self.meeting_id, **fields}
        response = await self.call("POST", "/recordings/track", json=body)
        return str(response.json()["data"]["recording"]["id"])

    async def start_composite(self, **fields: Any) -> str:
        body = {"meeting_id": self.meeting_id, **fields}
        return str((await self.call("POST", "/recordings", json=body)).json()["data"]["id"])

    async def change(self, recording_id: str, action: str) -> httpx.Response:
        return await self.call("PUT", f"/recordings/{recording_id}", json={"action": action})

    async def uploaded(self, recording_id: str, *, seconds: float = 10) -> Any:
        """Record for `seconds`, stop, and return the uploaded recording as a GET shows it."""
        self.sandbox.clock.advance(self.sandbox.behaviour.invoked_seconds + seconds)
        await self.change(recording_id, "stop")
        self.sandbox.clock.advance(self.sandbox.behaviour.uploading_seconds)
        return (await self.get(f"/recordings/{recording_id}"))["data"]


@asynccontextmanager
async def connected_client(options: SandboxOptions | None = None) -> AsyncIterator[Client]:
    """Serve a sandbox on a free port. Time moves only by `sandbox.clock.advance`."""
    options = options or SandboxOptions(seed=1)
    async with (
        Sandbox(options, clock=Clock(speed=0)) as sandbox,
        httpx.AsyncClient(
            base_url=sandbox.base_url,
            headers={"Authorization": "Bearer any"},
            timeout=5,
            verify=NO_AUTHORITIES,
        ) as http,
    ):
        yield Client(sandbox, http)
