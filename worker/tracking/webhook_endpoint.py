"""The path of one webhook: read, check who signed it, understand it, commit, answer.

The API repeats what is answered with 5xx and forgets what is answered with 4xx. So what is our
fault, or only may be, is 503; and what is authentic is 204, also when it is of no use to us.
A recording may tell of itself before the start that made it is committed: that is waited for.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec
import structlog
from aiohttp import web

from recording_schemas import Kind
from worker.domain.command_keys import start_slot
from worker.domain.errors import StoreUnavailable, Unavailable
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.decoding.webhooks import WebhookEvent, read_webhook_event
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.store.observations import WebhookObservation, WebhookResult
from worker.store.store import Store
from worker.tracking.webhook_registration import PATH

MAX_BODY_BYTES: Final = 262_144
BODY_SECONDS: Final = 5.0
"""Who sends a webhook does not wait longer for its answer either."""

MOST_AT_ONCE: Final = 200
PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 0.0)
"""So many seconds from one look whether a start is committed to the next, before it is given up."""

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


SPAN_ATTRIBUTES: Final = {
    "http.request.method": "POST",
    "http.route": PATH,
    "url.path": PATH,
    "url.scheme": "http",
}


class WebhookAnswer(msgspec.Struct, frozen=True):
    """What became of a webhook, with what is worth telling of it."""

    verdict: Verdict
    facts: Mapping[str, object] = {}


class WebhookEndpoint:
    """Takes webhooks in. `keys` has the key of each app's webhooks by its name; `now` is aware.

    The store tells of what is left to publish and to read. A body that takes longer than
    `body_seconds` to arrive is given up.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        keys: Mapping[str, WebhookVerifier],
        *,
        now: Callable[[], datetime],
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
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
            with self._tracing.span(
                f"POST {PATH}", "server", parent={}, attributes=SPAN_ATTRIBUTES
            ) as span:
                answered = await self._take(request)
                span.set_attributes({"http.response.status_code": STATUSES[answered.verdict]})
                span.set_attributes({"recording_worker.verdict": answered.verdict})
        finally:
            self.in_work -= 1
        self._metrics.record_webhook(answered.verdict)
        _log(answered, time.perf_counter() - started)
        return web.Response(status=STATUSES[answered.verdict])

    async def _take(self, request: web.Request) -> WebhookAnswer:
        if self.in_work > MOST_AT_ONCE:
            return WebhookAnswer("unavailable", {"reason": "too many webhooks at a time"})
        app = self._apps.find(request.query.get("app"))
        if app is None:  # another replica may know it already, or this one may have forgotten it
            return WebhookAnswer(
                "unavailable", {"reason": "it is for an app that is not configured"}
            )
        try:
            body = await _body_of(request, self._body_seconds)
        except _CutShort as error:
            return WebhookAnswer("unavailable", {"reason": str(error)})
        if body is None:
            return WebhookAnswer("too_large")
        try:
            if not await self._is_signed(request, app, body):
                return WebhookAnswer("forged")
            return await self._hear(app, body)
        except (Unavailable, StoreUnavailable) as error:
            return WebhookAnswer("unavailable", {"reason": str(error)})

    async def _is_signed(self, request: web.Request, app: App, body: bytes) -> bool:
        given = (request.headers.get(name) for name in SIGNATURE_HEADERS)
        signature = next((one for one in given if one), None)
        return signature is not None and await self._keys[app.name].verify(body, signature)

    async def _hear(self, app: App, body: bytes) -> WebhookAnswer:
        try:
            notice = read_webhook_event(body)
        except Unreadable as error:
            return WebhookAnswer("unreadable", {"reason": str(error)})
        if notice.recording is None:
            return WebhookAnswer("other_event", {"event_name": _short(notice)})
        return await self._commit(app, notice.recording)

    async def _commit(self, app: App, told: RecordingSnapshot) -> WebhookAnswer:
        heard = await self._settled(app, told)
        facts = {"app": app.name, "recording_id": told.recording_id, "status": told.status}
        if heard is None:
            reason = "a start that may have begun it is still under way"
            return WebhookAnswer("unavailable", facts | {"reason": reason})
        if not heard.known:
            return WebhookAnswer("not_ours", facts)
        return WebhookAnswer("taken" if heard.events or heard.due else "repeated", facts)

    async def _settled(self, app: App, told: RecordingSnapshot) -> WebhookResult | None:
        """What it comes to, once no start is under way that may have begun the recording."""
        meeting = told.meeting_id
        slots = [start_slot(app.name, meeting, kind) for kind in get_args(Kind)] if meeting else []
        for pause in PAUSES:
            heard = await self._store.apply_webhook(self._sight(app, told))
            if heard.known:
                return heard
            if not slots or not await self._store.calling(slots):
                # What was under way at the first look may be committed by now.
                return await self._store.apply_webhook(
                    self._sight(app, told, follow_all=app.follow_all)
                )
            await asyncio.sleep(pause)
        return None

    def _sight(
        self, app: App, told: RecordingSnapshot, *, follow_all: bool = False
    ) -> WebhookObservation:
        now = self._now()
        seen = Observation(
            snapshot=told, observed_by="webhook", asked_at=now, observed_at=now, app=app.name
        )
        return WebhookObservation(observation=seen, follow_all=follow_all)


def unavailable_routes(metrics: Metrics, why: Callable[[], str | None]) -> list[web.RouteDef]:
    """What to serve while no webhook can be taken in: each is 503, so that it is sent again."""

    async def serve(_request: web.Request) -> web.Response:
        metrics.record_webhook("unavailable")
        _log(WebhookAnswer("unavailable", {"reason": why()}), 0.0)
        return web.Response(status=STATUSES["unavailable"])

    return [web.post(PATH, serve)]


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


def _short(notice: WebhookEvent) -> str:
    return notice.event[:64]


def _log(answered: WebhookAnswer, seconds: float) -> None:
    logger = structlog.get_logger()
    say = logger.warning if answered.verdict in {"unavailable", "unreadable"} else logger.info
    say("webhook", verdict=answered.verdict, seconds=round(seconds, 4), **answered.facts)
