"""The sandbox as an HTTP server: the API, its files, its webhook key, and the control plane."""

import asyncio
from contextlib import AsyncExitStack
from email.utils import formatdate
from typing import Self

import msgspec
from aiohttp import web

from recording_sandbox.api.control.routes import control_routes
from recording_sandbox.api.file_downloads import DOWNLOAD_PATH, FileDownloads
from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.routes import MAX_BODY_BYTES, api_routes
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model.clock import Clock


class Sandbox:
    """`async with Sandbox(SandboxOptions(...)) as sandbox:` serves until the block ends.

    `behaviour`, `faults`, `meetings` and `recordings` may be used at any time in its event loop.
    """

    def __init__(
        self, options: SandboxOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self.options = options or SandboxOptions()
        self._state = state = SandboxState(self.options, clock)
        self.behaviour = state.behaviour
        self.clock = state.clock
        self.faults = state.faults
        self.request_log = state.request_log
        self.tokens = state.tokens
        self.rate_limiter = state.rate_limiter
        self.meetings = state.meetings
        self.recordings = state.recordings
        self.webhook_signer = state.webhook_sender.signer
        self._stack = AsyncExitStack()

    @property
    def root_url(self) -> str:
        """The address of the server, without a path."""
        return self._state.addresses.root_url

    @property
    def base_url(self) -> str:
        """The base URL of the API, ending in `/client/v4`: clients are configured with it."""
        return self._state.addresses.base_url

    @property
    def webhook_key_url(self) -> str:
        """The address of the public key that verifies webhooks."""
        return self._state.addresses.webhook_key_url

    @property
    def control_url(self) -> str:
        """The address of the control plane."""
        return self._state.addresses.control_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that configure a worker to use it; in strict mode without the token."""
        variables = {
            "REALTIMEKIT_BASE_URL": self.base_url,
            "REALTIMEKIT_WEBHOOK_KEY_URL": self.webhook_key_url,
            "REALTIMEKIT_ACCOUNT_ID": "sandbox",
            "REALTIMEKIT_APP_ID": "sandbox",
        }
        if not self.behaviour.strict:
            variables["REALTIMEKIT_API_TOKEN"] = "sandbox"  # noqa: S105 -- any token is valid
        return variables

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.request_log)
            await self._listen(stack)
            self._run_in_background(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _listen(self, stack: AsyncExitStack) -> None:
        runner = web.AppRunner(
            self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self.options.host, self.options.port, backlog=1024)
        await site.start()
        self._state.addresses.root_url = self.options.public_url or _listen_url(runner)

    def _run_in_background(self, stack: AsyncExitStack) -> None:
        clock, sender = self.clock.run(), self._state.webhook_sender.run()
        for name, work in (("clock", clock), ("webhooks", sender)):
            stack.push_async_callback(_stop, asyncio.create_task(work, name=f"sandbox-{name}"))

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._set_date)
        app.add_routes(api_routes(self._state))
        app.add_routes(control_routes(self._state))
        app.add_routes(
            [
                web.get("/.well-known/webhooks.json", self._serve_key),
                web.route("*", DOWNLOAD_PATH, FileDownloads(self._state).serve),
            ]
        )
        return app

    async def _set_date(self, request: web.Request, response: web.StreamResponse) -> None:
        """Responses carry sandbox time in every header and body."""
        del request
        response.headers["Date"] = formatdate(self.clock.now(), usegmt=True)

    async def _serve_key(self, request: web.Request) -> web.Response:
        del request
        body = {
            "success": True,
            "data": {"publicKey": self.webhook_signer.public_pem()},
            "message": "",
        }
        return web.json_response(body, dumps=_dumps)


def _listen_url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel the task. If it had failed before, raise its error here."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


def _dumps(body: object) -> str:
    return msgspec.json.encode(body).decode()
