"""The sandbox as one thing: a world, an HTTP server in front of it, and a request log of both."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from sandbox.api.auth import RateLimiter, Tokens
from sandbox.api.control import Control
from sandbox.api.recording_operations import RecordingOperations
from sandbox.api.responses import Responses
from sandbox.api.routes import MAX_BODY_BYTES, Api, Door
from sandbox.api.session_operations import SessionOperations
from sandbox.api.webhook_delivery import Webhooks
from sandbox.api.webhook_operations import WebhookOperations
from sandbox.model import media
from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.faults import Faults
from sandbox.model.files import Presigner
from sandbox.model.log_entries import FileServedEntry
from sandbox.model.meetings import Meetings
from sandbox.model.recordings import Recordings
from sandbox.model.request_log import RequestLog


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a sandbox is set up. `port` 0 takes any free one.

    `speed` is sandbox seconds in a real second. `public_url` is where clients reach it, when that
    is not the address it listens on (a proxy in between). `seed` makes recording ids and the
    faults' dice the same each time. `request_log_limit` bounds the entries kept of each kind,
    `request_log_path` writes them all as JSON lines. `tokens` are the good ones in strict mode.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    speed: float = 1.0
    seed: int | None = None
    tokens: tuple[str, ...] = ()
    request_log_limit: int | None = None
    request_log_path: Path | None = None
    behaviour: Behaviour = msgspec.field(default_factory=Behaviour)

    def __repr__(self) -> str:
        return f"SandboxOptions(host={self.host!r}, port={self.port}, speed={self.speed})"


class Sandbox:
    """`async with Sandbox(SandboxOptions(...)) as sandbox:` serves until the block ends.

    `behaviour`, `faults`, `meetings` and `recordings` may be used at any time in its event loop.
    """

    def __init__(
        self, options: SandboxOptions | None = None, *, clock: Clock | None = None
    ) -> None:
        self.options = options = options or SandboxOptions()
        self.behaviour = msgspec.structs.replace(options.behaviour)
        self.clock = clock or Clock(speed=options.speed)
        self.faults = Faults(seed=options.seed)
        self.request_log = RequestLog(
            limit=options.request_log_limit, path=options.request_log_path
        )
        self.tokens = Tokens(self.behaviour, options.tokens)
        self.rate_limiter = RateLimiter(self.behaviour)
        self.meetings = Meetings(self.clock, self.behaviour)
        self.recordings = Recordings(
            self.clock,
            self.meetings,
            self.behaviour,
            self.faults,
            self.request_log,
            seed=options.seed,
        )
        self._presigner = Presigner(secrets.token_bytes(32))
        self._worded = Responses(self.clock, self.behaviour, self._presigner)
        self._subscriptions = WebhookOperations(self.clock)
        self.webhooks = Webhooks(
            self.clock,
            self.behaviour,
            self.faults,
            self.request_log,
            self._subscriptions,
            self._worded,
        )
        self.recordings.listeners.append(self.webhooks.on_recording)
        self.meetings.listeners.append(self.webhooks.on_meeting)
        self._root = ""
        self._stack = AsyncExitStack()

    @property
    def root_url(self) -> str:
        """Where it is served, without a path."""
        return self._root

    @property
    def base_url(self) -> str:
        """What a client of the API is configured with; ends in `/client/v4`."""
        return f"{self._root}/client/v4"

    @property
    def webhook_key_url(self) -> str:
        """Where the key that webhooks are signed with is published."""
        return f"{self._root}/.well-known/webhooks.json"

    @property
    def control_url(self) -> str:
        """Where the sandbox itself is controlled."""
        return f"{self._root}/sandbox"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.enter_context(self.request_log)
            runner = web.AppRunner(
                self._app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, self.options.host, self.options.port, backlog=1024)
            await site.start()
            self._root = self.options.public_url or _address(runner)
            self._presigner.root = self._root
            for name, work in (("clock", self.clock.run()), ("webhooks", self.webhooks.run())):
                stack.push_async_callback(_end, asyncio.create_task(work, name=f"sandbox-{name}"))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(self._date)
        door = Door(
            self.clock,
            self.behaviour,
            self.tokens,
            self.rate_limiter,
            self.faults,
            self.request_log,
        )
        meetings, recordings = self.meetings, self.recordings
        api = Api(
            door,
            RecordingOperations(self.clock, self.behaviour, meetings, recordings, self._worded),
            SessionOperations(self.clock, self.behaviour, meetings),
            self._subscriptions,
        )
        app.add_routes(api.routes())
        app.add_routes(Control(self).routes())
        app.add_routes(
            [
                web.get("/.well-known/webhooks.json", self._serve_key),
                web.get("/files/{recording_id}/{name}", self._serve_file),
            ]
        )
        return app

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        """Answers carry sandbox time, like everything in them."""
        del request
        response.headers["Date"] = formatdate(self.clock.now(), usegmt=True)

    async def _serve_key(self, request: web.Request) -> web.Response:
        del request
        body = {
            "success": True,
            "data": {"publicKey": self.webhooks.signer.public_pem()},
            "message": "",
        }
        return web.json_response(body, dumps=_dumps)

    async def _serve_file(self, request: web.Request) -> web.Response:
        """As object stores do: the URL is the permission, and a second one is an error."""
        self.clock.run_due()
        recording_id, name = request.match_info["recording_id"], request.match_info["name"]
        status, reason = self._file_refusal(request, recording_id, name)
        self.request_log.add(
            FileServedEntry(
                at=self.clock.now(), recording_id=recording_id, name=name, status=status
            )
        )
        recording = self.recordings.index.find(recording_id)
        for file in recording.all_files if recording and not reason else ():
            if file.name == name:
                kind = media.TYPES[media.suffix(name)]
                return web.Response(body=media.content(name, file.seconds), content_type=kind)
        text = f"<Error><Code>{reason or 'NoSuchKey'}</Code></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    def _file_refusal(
        self, request: web.Request, recording_id: str, name: str
    ) -> tuple[int, str | None]:
        if "Authorization" in request.headers:
            return 400, "InvalidArgument"
        fault = self._presigner.fault(
            recording_id,
            name,
            request.query.get("X-Expires", ""),
            request.query.get("X-Signature", ""),
            self.clock.now(),
        )
        recording = self.recordings.index.find(recording_id)
        if fault:
            return 403, fault
        names = [file.name for file in recording.all_files] if recording else []
        return (200, None) if name in names else (404, "NoSuchKey")


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _end(task: asyncio.Task[None]) -> None:
    """Stop it; what it died of before, if it did, is raised here."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


def _dumps(body: object) -> str:
    return msgspec.json.encode(body).decode()
