"""Serves the stand-in for the API over HTTP, and logs what it executed and answered."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from tests.oracle.answers import Answer, refusal
from tests.oracle.api_lists import ApiLists
from tests.oracle.api_operations import ApiOperations, Call, route
from tests.oracle.apps import TOKEN
from tests.oracle.behaviour import Behaviour
from tests.oracle.request_faults import Fault, RequestFaults
from tests.oracle.truth import Request
from tests.oracle.webhook_sender import WebhookSender
from tests.oracle.world import World

KEY_PATH: Final = "webhook-key"


class StandIn:
    """The API of one history. Each replica has a base URL of its own, so that the log names it."""

    def __init__(
        self, behaviour: Behaviour, dice: random.Random, apps: Mapping[str, str | None]
    ) -> None:
        self.behaviour = behaviour
        self.apps = apps
        self.webhooks = WebhookSender(behaviour, dice, apps)
        self.world = World(behaviour, dice, self.webhooks.tell)
        self.truth = self.world.truth
        self.webhooks.truth = self.truth
        self.world.on_session_begin = self.webhooks.tell_session
        self.faults = RequestFaults(behaviour, dice)
        lists = ApiLists(self.truth, behaviour, dice)
        self._operations = ApiOperations(self.world, behaviour, lists)
        self._port = 0

    def base_url(self, replica: int) -> str:
        """REALTIMEKIT_BASE_URL of a replica."""
        return f"http://127.0.0.1:{self._port}/{replica}"

    @property
    def key_url(self) -> str:
        """REALTIMEKIT_WEBHOOK_KEY_URL."""
        return f"http://127.0.0.1:{self._port}/{KEY_PATH}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a free port of loopback."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self._port = runner.addresses[0][1]
            yield
        finally:
            self.world.close()
            await self.webhooks.close()
            await runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = tuple(request.path.strip("/").split("/"))
        if path == (KEY_PATH,):
            return web.json_response(self.webhooks.key_document())
        replica, _, _, _, _, app, *rest = path  # accounts/<account>/realtime/kit/<app>
        body = json.loads(await request.text() or "null")
        operation, target = route(request.method, tuple(rest))
        call = Call(operation, app, target, parse_qs(request.query_string), body)
        entry = Request(
            time.time(), int(replica), app, operation, target, body, request.query_string
        )
        self.truth.requests.append(entry)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _respond(refusal(401, "Unauthorized"), entry)
        return await self._answer(request, call, entry)

    async def _answer(self, request: web.Request, call: Call, entry: Request) -> web.StreamResponse:
        fault = self.faults.draw() or Fault("none")
        entry.fault = fault.name
        answer = fault.answer
        if fault.executes:
            executed = self._operations.execute(call)
            entry.executed, entry.effect = True, executed.effect
            answer = answer or executed
        if fault.seconds:
            await asyncio.sleep(fault.seconds)
        if fault.cut == "before" or answer is None:
            return _cut(request)
        if fault.cut == "within":
            await _send_half(request, answer)
            return _cut(request)
        if fault.garbled:
            return _respond(Answer(200, "<html>welcome</html>"), entry)
        return _respond(answer, entry)


def _respond(answer: Answer, entry: Request) -> web.Response:
    entry.status, entry.done = answer.status, time.time()
    entry.shown, entry.retry_after = list(answer.shown), answer.retry_after
    headers = {}
    if answer.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(answer.retry_after + 0.5)))
    is_json = not isinstance(answer.body, str)
    text = json.dumps(answer.body) if is_json else answer.body
    kind = "application/json" if is_json else "text/html"
    return web.Response(status=answer.status, text=text, content_type=kind, headers=headers)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _send_half(request: web.Request, answer: Answer) -> None:
    whole: Any = json.dumps(answer.body).encode()
    response = web.StreamResponse(status=answer.status)
    response.content_length = len(whole)
    await response.prepare(request)
    await response.write(whole[: len(whole) // 2])
