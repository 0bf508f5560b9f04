"""The webhook endpoint on a real store, served over HTTP, with a signing key of the tests."""

import itertools
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import httpx
import msgspec
from prometheus_client import CollectorRegistry

from recording_sandbox.api.webhook_signing import Signer
from recording_schemas import Kind, ObservedBy, Status
from tests.store_requests import observation_of
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.http_connections import ConnectionLimits
from worker.observability.http_server import HttpServer
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.http.transport import HttpTransport
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.webhook_signature import WebhookVerifier
from worker.store.queries import RecordingsFilter
from worker.store.store import Store
from worker.tracking.shown_files import ShownFiles
from worker.tracking.webhook_endpoint import WebhookEndpoint
from worker.tracking.webhook_registration import PATH

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
SIGNER = Signer()
"""Shared by all tests, because making a key takes long."""


class WebhookBench:
    """Serves the endpoint at `url`. Each call of `now` advances `time` by one second.

    The endpoint must make no request to the API: `api_requests` counts them.
    """

    def __init__(
        self,
        store: Store,
        *,
        follow_all: bool,
        apps: tuple[str, ...],
        body_timeout: float,
    ) -> None:
        self.store = store
        self.signer = SIGNER
        self.key_status = 200
        self.api_requests = 0
        self.registry = CollectorRegistry()
        self.time = datetime(2030, 1, 1, tzinfo=UTC)
        self.key = WebhookVerifier(
            "http://keys.example/",
            timeout=5,
            transport=httpx.MockTransport(self._publish),
        )
        self.apps = Apps(
            App(
                name=name,
                api=self._api(),
                breaker=CircuitBreaker(lambda: 0.0, app=name),
                follow_all=follow_all,
            )
            for name in apps
        )
        self.shown_files = {app: ShownFiles() for app in apps}
        self._webhooks = webhooks = WebhookEndpoint(
            store,
            self.apps,
            dict.fromkeys(apps, self.key),
            self.shown_files,
            now=self.now,
            metrics=Metrics(self.registry, version="test"),
            body_timeout=body_timeout,
        )
        self.server = HttpServer(
            "127.0.0.1",
            0,
            checks_live={},
            checks_ready={},
            registry=self.registry,
            extra_routes=webhooks.routes(),
            limits=ConnectionLimits(per_address=400),
        )
        # With hundreds of connections, httpx's own transport needs ten times as long.
        self.client = httpx.AsyncClient(transport=HttpTransport(), timeout=30)
        self.port = 0
        self._ids = itertools.count()

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    @property
    def in_progress(self) -> int:
        return self._webhooks.in_progress

    async def post(
        self,
        body: bytes | Mapping[str, Any],
        *,
        signed: bool | str = True,
        header: str = "rtk-signature",
        app: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> int:
        """Send a webhook as the API does; returns the status of the answer."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent_headers = {"Content-Type": "application/json", **headers}
        if signed:
            sent_headers[header] = signed if isinstance(signed, str) else self.signer.signature(raw)
        query = {} if app is None else {"app": app}
        answer = await self.client.post(self.url, content=raw, headers=sent_headers, params=query)
        return answer.status_code

    async def send_status(self, recording_id: str, status: str, **fields: Any) -> int:
        return await self.post(status_update(recording_id, status, **fields))

    async def known_recording(
        self, status: str = "INVOKED", *, kind: Kind = "track", app: str = "default"
    ) -> str:
        """Store a recording of our start with this status; returns its id."""
        recording_id = str(uuid.uuid4())
        await self.observe(recording_id, "INVOKED", kind=kind, app=app)
        if status != "INVOKED":
            await self.observe(recording_id, status, kind=kind, app=app)
        return recording_id

    async def observe(
        self,
        recording_id: str,
        status: str,
        *,
        kind: Kind = "track",
        app: str = "default",
        by: ObservedBy = "command",
        **more: Any,
    ) -> None:
        """Apply an observation as if the API had just given this answer."""
        snapshot = RecordingSnapshot(recording_id=recording_id, status=Status(status), kind=kind)
        start = StartContext(start_id=f"start-of-{recording_id}")
        observation = observation_of(snapshot, self.now(), by, app=app, start=start, **more)
        await self.store.apply([observation])

    async def published_statuses(self, recording_id: str) -> list[str]:
        """The published statuses in their order."""
        return [
            event["data"]["status"]
            for event in await self.events(recording_id)
            if event["type"] == "recording.status_changed.v1"
        ]

    async def events(self, recording_id: str) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(pending.body)
            for pending in await self.store.unsent(100_000)
            if pending.subject == recording_id
        ]

    async def recording(self, recording_id: str) -> Recording:
        (recording,) = await self.store.recordings(RecordingsFilter(recording_id=recording_id))
        return recording

    async def is_read_due(self, recording_id: str) -> bool:
        found = (await self.store.find_tracked([recording_id]))[recording_id]
        return found.read_at is not None and found.read_at <= self.time.timestamp()

    def verdict_counts(self) -> dict[str, int]:
        """The number of webhooks by verdict."""
        return {
            sample.labels["verdict"]: int(sample.value)
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "recording_worker_webhooks_total"
        }

    def _publish(self, _request: httpx.Request) -> httpx.Response:
        body = {"success": True, "data": {"publicKey": self.signer.public_pem()}}
        return httpx.Response(self.key_status, json=body)

    def _api(self) -> RealtimeKitClient:
        def answer_request(_request: httpx.Request) -> httpx.Response:
            self.api_requests += 1
            return httpx.Response(404, json={})

        return RealtimeKitClient(
            base_url="http://api.example",
            account_id="account",
            app_id="app",
            token=lambda: "token",
            timeout=1,
            retry=RequestRetry(attempts=1),
            transport=httpx.MockTransport(answer_request),
        )


def status_update(recording_id: str, status: str, **fields: Any) -> dict[str, Any]:
    """The API's payload for a changed status, with further fields."""
    recording = {"id": recording_id, "recordingId": recording_id, "status": status, **fields}
    return {"event": "recording.statusUpdate", "recording": recording, "meeting": {"id": "m"}}


def legacy_status_update(recording_id: str, status: str, **fields: Any) -> dict[str, Any]:
    """The same payload in the format of the API's predecessor."""
    started = {"startedTime": "2023-04-14 04:46:08.306221Z", "fileSize": 7}
    recording = {"recordingId": recording_id, "status": status, **started, **fields}
    return {"event": "recording.statusUpdate", "recording": recording}


@asynccontextmanager
async def open_webhook_bench(
    url: str,
    *,
    follow_all: bool = False,
    apps: tuple[str, ...] = ("default",),
    body_timeout: float = 5.0,
) -> AsyncIterator[WebhookBench]:
    """Serves a bench during the block. `url` is a database's."""
    store = await Store.open(url, source="test")
    bench = WebhookBench(
        store,
        follow_all=follow_all,
        apps=apps,
        body_timeout=body_timeout,
    )
    bench.port = await bench.server.start()
    try:
        yield bench
    finally:
        await bench.client.aclose()
        await bench.server.stop()
        await bench.key.aclose()
        for app in bench.apps:
            await app.api.aclose()
        await store.close()
