"""Receives one webhook: read the body, check the signature, decode, commit, answer.

The API repeats a webhook after 5xx and drops it after 4xx. If the worker may be at fault, it
answers 503. An authentic webhook is answered with 204, even if it changes nothing. A webhook can
arrive before the start of its recording is committed. The endpoint waits for that commit.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, get_args

import msgspec
import structlog
from aiohttp import web

from recording_schemas import Kind, Status
from worker.domain.command_keys import start_slot
from worker.domain.errors import StoreUnavailable, Unavailable
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.http_body import (
    BODY_TIMEOUT_SECONDS,
    BodyReader,
    BodyTooLarge,
    IncompleteBody,
)
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.decoding.webhooks import decode_webhook_event
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.store.observations import WebhookObservation, WebhookResult
from worker.store.parking import LiveSessions
from worker.store.store import Store
from worker.tracking.shown_files import ShownFiles
from worker.tracking.webhook_registration import PATH

MAX_BODY_BYTES: Final = 8_388_608
"""The limit of a body: large enough for the files of 500 tracks with presigned URLs (some
megabytes)."""

MAX_CONCURRENT: Final = 200
MAX_EVENT_NAME_LENGTH: Final = 64
MAX_ID_LENGTH: Final = 128
START_CHECK_DELAYS_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 0.0)
"""Delays between the checks whether a start is committed. After the last check the answer is 503.
"""

SIGNATURE_HEADERS: Final = ("rtk-signature", "dyte-signature")

WebhookVerdict = Literal[
    "taken",
    "repeated",
    "not_ours",
    "other_event",
    "unknown_status",
    "unreadable",
    "forged",
    "too_large",
    "unavailable",
]

HTTP_STATUSES: Final[Mapping[WebhookVerdict, int]] = {
    "taken": 204,
    "repeated": 204,
    "not_ours": 204,
    "other_event": 204,
    "unknown_status": 204,
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
    """The verdict on one webhook, with the fields of its log line."""

    verdict: WebhookVerdict
    log_fields: Mapping[str, object] = {}


class WebhookEndpoint:
    """Serves one path for the webhooks of all apps.

    `keys` has the public key of each app's webhooks by the app's name, and `shown_files` gets the
    tracks whose files a webhook of the app shows. A body that takes longer than `body_timeout`
    seconds to arrive is answered with 503. After a commit the store notifies the relay and the
    refresher.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        keys: Mapping[str, WebhookVerifier],
        shown_files: Mapping[str, ShownFiles],
        *,
        now: Callable[[], datetime],
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        body_timeout: float = BODY_TIMEOUT_SECONDS,
    ) -> None:
        self._store = store
        self._apps = apps
        self._keys = keys
        self._shown_files = shown_files
        self._now = now
        self._metrics = metrics
        self._tracing = tracing
        self._bodies = BodyReader(max_bytes=MAX_BODY_BYTES, timeout=body_timeout)
        self.in_progress = 0
        """How many webhooks are being checked or committed. Incomplete bodies do not count."""

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the HTTP server."""
        return [web.post(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        with self._tracing.span(
            f"POST {PATH}", "server", parent={}, attributes=SPAN_ATTRIBUTES
        ) as span:
            answer = await self._handle(request)
            span.set_attributes(
                {
                    "http.response.status_code": HTTP_STATUSES[answer.verdict],
                    "recording_worker.verdict": answer.verdict,
                }
            )
        self._metrics.record_webhook(answer.verdict)
        _log(answer, time.perf_counter() - started)
        return web.Response(status=HTTP_STATUSES[answer.verdict])

    async def _handle(self, request: web.Request) -> WebhookAnswer:
        signature = _signature(request)
        if signature is None:
            return WebhookAnswer("forged")
        app = self._apps.find(request.query.get("app"))
        if app is None:  # other replicas may have it, or this one lacks it by mistake
            return _unavailable("its app is not configured")
        try:
            body = await self._bodies.read(request)
        except IncompleteBody as error:
            return _unavailable(str(error))
        except BodyTooLarge:
            return WebhookAnswer("too_large")
        return await self._verify_and_apply(app, body, signature)

    async def _verify_and_apply(self, app: App, body: bytes, signature: str) -> WebhookAnswer:
        if self.in_progress >= MAX_CONCURRENT:
            return _unavailable("too many concurrent webhooks")
        self.in_progress += 1
        try:
            if not await self._keys[app.name].verify(body, signature):
                return WebhookAnswer("forged")
            return await self._apply(app, body)
        except (Unavailable, StoreUnavailable) as error:
            return _unavailable(str(error))
        finally:
            self.in_progress -= 1

    async def _apply(self, app: App, body: bytes) -> WebhookAnswer:
        try:
            event = decode_webhook_event(body)
        except Unreadable as error:
            return WebhookAnswer("unreadable", {"reason": str(error)})
        if event.meeting_id is not None:
            return await self._apply_session(app, event.meeting_id)
        if event.recording is None:
            return WebhookAnswer("other_event", {"event_name": event.event[:MAX_EVENT_NAME_LENGTH]})
        return await self._apply_snapshot(app, app.api.receive(event.recording))

    async def _apply_session(self, app: App, meeting_id: str) -> WebhookAnswer:
        """Make the starts due that wait for the session of this meeting."""
        due = await self._store.make_starts_due(
            LiveSessions(app=app.name, meeting_ids={meeting_id})
        )
        log_fields = {"app": app.name, "meeting_id": meeting_id[:MAX_ID_LENGTH], "due": due}
        return WebhookAnswer("taken" if due else "not_ours", log_fields)

    async def _apply_snapshot(self, app: App, snapshot: RecordingSnapshot) -> WebhookAnswer:
        # Before the commit, because the commit notifies the refresher.
        shown = self._shown_files[app.name]
        if snapshot.status is Status.UPLOADED:
            shown.put(snapshot)
        is_due = False
        try:
            result = await self._commit(app, snapshot)
            is_due = result is not None and result.due
        finally:
            if not is_due:  # no read will take it
                shown.drop(snapshot.recording_id)
        log_fields = {
            "app": app.name,
            "recording_id": snapshot.recording_id,
            "status": snapshot.unknown_status or snapshot.status,
        }
        if result is None:
            return _unavailable("a start that may own the recording is not finished", log_fields)
        if not result.known:
            return WebhookAnswer("not_ours", log_fields)
        if snapshot.unknown_status is not None:
            return WebhookAnswer("unknown_status", log_fields)
        return WebhookAnswer("taken" if result.events or result.due else "repeated", log_fields)

    async def _commit(self, app: App, snapshot: RecordingSnapshot) -> WebhookResult | None:
        """Commit the snapshot. None if a start that may own the recording does not finish in
        time."""
        meeting = snapshot.meeting_id
        slots = [start_slot(app.name, meeting, kind) for kind in get_args(Kind)] if meeting else []
        for delay in START_CHECK_DELAYS_SECONDS:
            result = await self._store.apply_webhook(self._observation(app, snapshot))
            if result.known:
                return result
            if not slots or not await self._store.is_any_calling(slots):
                # A start that ran during the first try may be committed by now.
                return await self._store.apply_webhook(
                    self._observation(app, snapshot, follow_all=app.follow_all)
                )
            await asyncio.sleep(delay)
        return None

    def _observation(
        self, app: App, snapshot: RecordingSnapshot, *, follow_all: bool = False
    ) -> WebhookObservation:
        now = self._now()
        observation = Observation(
            snapshot=snapshot, observed_by="webhook", asked_at=now, observed_at=now, app=app.name
        )
        return WebhookObservation(observation=observation, follow_all=follow_all)


def unavailable_routes(metrics: Metrics, reason: Callable[[], str | None]) -> list[web.RouteDef]:
    """Routes for the time before the store is open: 503, so that the API repeats the webhook."""

    async def serve(_request: web.Request) -> web.Response:
        metrics.record_webhook("unavailable")
        _log(_unavailable(reason()), 0.0)
        return web.Response(status=HTTP_STATUSES["unavailable"])

    return [web.post(PATH, serve)]


def _signature(request: web.Request) -> str | None:
    values = (request.headers.get(name) for name in SIGNATURE_HEADERS)
    return next((value for value in values if value), None)


def _unavailable(reason: str | None, log_fields: Mapping[str, object] = {}) -> WebhookAnswer:
    return WebhookAnswer("unavailable", {**log_fields, "reason": reason})


def _log(answer: WebhookAnswer, seconds: float) -> None:
    logger = structlog.get_logger()
    is_warning = answer.verdict in {"unavailable", "unreadable", "unknown_status"}
    log = logger.warning if is_warning else logger.info
    log(
        "webhook_answered",
        verdict=answer.verdict,
        seconds=round(seconds, 4),
        **answer.log_fields,
    )
