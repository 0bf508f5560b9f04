"""The path of one webhook: read, check who signed it, understand it, commit, answer.

The API repeats what is answered with 5xx and forgets what is answered with 4xx. So what is our
fault, or only may be, is 503; and what is authentic is 204, also when it is of no use to us.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec
import structlog
from aiohttp import web

from worker.apps import App, Apps
from worker.errors import StoreUnavailable, Unavailable
from worker.realtimekit import Notice, Unreadable, WebhookKey, read_notice
from worker.recording import Seen
from worker.registration import PATH
from worker.snapshot import Snapshot
from worker.store import Hear, Store
from worker.telemetry import Metrics
from worker.tracing import OFF, Tracing

MAX_BODY_BYTES: Final = 262_144
BODY_SECONDS: Final = 5.0
"""Who sends a webhook does not wait longer for its answer either."""

MOST_AT_ONCE: Final = 200
SIGNATURE_HEADERS: Final = ("rtk-signature", "dyte-signature")

Verdict = Literal[
    "taken",
    "repeated",
    "not_ours",
    "other_event",
    "unreadable",
    "forged",
    "too_large",
    "unavailable",
]

STATUSES: Final[Mapping[Verdict, int]] = {
    "taken": 204,
    "repeated": 204,
    "not_ours": 204,
    "other_event": 204,
    "unreadable": 204,
    "forged": 401,
    "too_large": 413,
    "unavailable": 503,
}


FACTS: Final = {
    "http.request.method": "POST",
    "http.route": PATH,
    "url.path": PATH,
    "url.scheme": "http",
}


class Answered(msgspec.Struct, frozen=True):
    """What became of a webhook, with what is worth telling of it."""

    verdict: Verdict
    facts: Mapping[str, object] = {}


class Webhooks:
    """Takes webhooks in. `keys` has the key of each app's webhooks by its name; `now` is aware.

    The store tells of what is left to publish and to read. A body that takes longer than
    `body_seconds` to arrive is given up.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        keys: Mapping[str, WebhookKey],
        *,
        now: Callable[[], datetime],
        metrics: Metrics,
        tracing: Tracing = OFF,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._store = store
        self._apps = apps
        self._keys = keys
        self._now = now
        self._metrics = metrics
        self._tracing = tracing
        self._body_seconds = body_seconds
        self.in_work = 0
        """How many are being read, checked and committed now."""

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [web.post(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        self.in_work += 1
        try:
            with self._tracing.work(f"POST {PATH}", "server", parent={}, facts=FACTS) as span:
                answered = await self._take(request)
                span.tell({"http.response.status_code": STATUSES[answered.verdict]})
                span.tell({"recording_worker.verdict": answered.verdict})
        finally:
            self.in_work -= 1
        self._metrics.webhook(answered.verdict)
        _log(answered, time.perf_counter() - started)
        return web.Response(status=STATUSES[answered.verdict])

    async def _take(self, request: web.Request) -> Answered:
        if self.in_work > MOST_AT_ONCE:
            return Answered("unavailable", {"reason": "too many webhooks at a time"})
        app = self._apps.meant(request.query.get("app"))
        if app is None:  # another replica may know it already, or this one may have forgotten it
            return Answered("unavailable", {"reason": "it is for an app that is not configured"})
        try:
            body = await _body_of(request, self._body_seconds)
        except _CutShort as error:
            return Answered("unavailable", {"reason": str(error)})
        if body is None:
            return Answered("too_large")
        try:
            if not await self._is_signed(request, app, body):
                return Answered("forged")
            return await self._hear(app, body)
        except (Unavailable, StoreUnavailable) as error:
            return Answered("unavailable", {"reason": str(error)})

    async def _is_signed(self, request: web.Request, app: App, body: bytes) -> bool:
        given = (request.headers.get(name) for name in SIGNATURE_HEADERS)
        signature = next((one for one in given if one), None)
        return signature is not None and await self._keys[app.name].has_signed(body, signature)

    async def _hear(self, app: App, body: bytes) -> Answered:
        try:
            notice = read_notice(body)
        except Unreadable as error:
            return Answered("unreadable", {"reason": str(error)})
        if notice.recording is None:
            return Answered("other_event", {"event_name": _short(notice)})
        return await self._commit(app, notice.recording)

    async def _commit(self, app: App, told: Snapshot) -> Answered:
        now = self._now()
        seen = Seen(
            snapshot=told, observed_by="webhook", asked_at=now, observed_at=now, app=app.name
        )
        heard = await self._store.hear(Hear(seen=seen, follow_all=app.follow_all))
        facts = {"app": app.name, "recording_id": told.recording_id, "status": told.status}
        if not heard.known:
            return Answered("not_ours", facts)
        return Answered("taken" if heard.events or heard.due else "repeated", facts)


class _CutShort(Exception):
    pass


async def _body_of(request: web.Request, seconds: float) -> bytes | None:
    """The body as it was sent; None when it is too large."""
    if (request.content_length or 0) > MAX_BODY_BYTES:
        return None
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    return None
    except TimeoutError:
        raise _CutShort("the body did not arrive in time") from None
    except (web.RequestPayloadError, OSError):
        raise _CutShort("the body did not arrive whole") from None
    return bytes(body)


def _short(notice: Notice) -> str:
    return notice.event[:64]


def _log(answered: Answered, seconds: float) -> None:
    logger = structlog.get_logger()
    say = logger.warning if answered.verdict in {"unavailable", "unreadable"} else logger.info
    say("webhook", verdict=answered.verdict, seconds=round(seconds, 4), **answered.facts)
