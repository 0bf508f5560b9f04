"""Tracking without a broker: the emulated API, a real store, and one clock.

The clock stands still until a test advances it.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.log_entries import RequestEntry
from recording_schemas import Kind, Media, ObservedBy, Status
from tests.store_requests import observation_of
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.timeouts import Timeouts
from worker.observability.metrics import Metrics
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import HttpAttempt
from worker.realtimekit.retry import RequestRetry
from worker.store.observations import WebhookObservation
from worker.store.queries import RecordingsFilter
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.duration_limiter import DurationLimiter
from worker.tracking.refresher import Refresher
from worker.tracking.shown_files import ShownFiles
from worker.tracking.sweep import Sweep
from worker.tracking.sweep_interval import SweepInterval

TIMEOUTS = Timeouts(
    files_settle=10,
    files_wait=120,
    files_late=3600,
    invoked_timeout=120,
    uploading_timeout=7200,
    recording_timeout=90_000,
    vanished_after=30,
)
BEHAVIOUR = Behaviour(invoked_seconds=1, uploading_seconds=1)

on_both_engines = pytest.mark.parametrize(
    "usual_database_url", ["sqlite", "postgresql"], indirect=True
)
"""For the tests with `usual_database_url` that depend on the engine."""


class TrackingBench:
    """A sweep and a refresher for recordings that were started and applied as commands do."""

    def __init__(self, sandbox: Sandbox, store: Store, api: RealtimeKitClient) -> None:
        self.sandbox = sandbox
        self.store = store
        self.api = api
        self.meeting = str(uuid.uuid4())
        self._counted = 0
        self.restart()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.sandbox.clock.now(), UTC)

    def restart(self, api: RealtimeKitClient | None = None, *, follow_all: bool = False) -> None:
        """Create a new sweep and refresher, without state besides the store's."""
        api = api or self.api
        self.breaker = CircuitBreaker(now=self.sandbox.clock.now)
        self.shown_files = shown_files = ShownFiles()
        self.interval = SweepInterval(base=10, audit=120, rate=2)
        discovery = ExternalRecordingDiscovery(self.store, api, app="default", now=self.now)
        self.sweep = Sweep(
            self.store,
            api,
            TIMEOUTS,
            self.interval,
            app="default",
            discovery=discovery if follow_all else None,
            shown_files=shown_files,
            breaker=self.breaker,
            metrics=Metrics(CollectorRegistry(), version="test"),
            now=self.now,
            monotonic=self.sandbox.clock.now,
        )
        self.refresher = Refresher(
            self.store,
            api,
            TIMEOUTS,
            app="default",
            breaker=self.breaker,
            now=self.now,
            sweep_state=self.sweep.state,
            request_sweep=self.sweep.request,
            shown_files=shown_files,
        )
        self.limiter = self.new_limiter(api)

    def new_limiter(
        self,
        api: RealtimeKitClient | None = None,
        store: Any = None,
    ) -> DurationLimiter:
        """A limiter like another replica's."""
        return DurationLimiter(
            store or self.store,
            api or self.api,
            app="default",
            breaker=self.breaker,
            attempt_seconds=15.0,
            now=self.now,
        )

    async def start(
        self,
        kind: Kind = "track",
        *,
        meeting: str | None = None,
        max_seconds: int | None = None,
        context: Mapping[str, Any] = {},
        **layers: Any,
    ) -> str:
        body: dict[str, Any] = {"meeting_id": meeting or self.meeting, **layers}
        asked_at = self.now()
        if kind == "track":
            snapshot = await self.api.start_track_recording(body)
        else:
            snapshot = await self.api.start_composite_recording(body)
        prefix = layers.get("layers", {}).get("default", {}).get("file_name_prefix")
        origin = StartContext(
            start_id=f"start-of-{snapshot.recording_id}",
            file_name_prefix=prefix,
            user_ids=tuple(layers.get("user_ids", ())),
            media=() if kind == "track" else _exported(layers),
            max_seconds=max_seconds,
            **context,
        )
        await self.observe(snapshot, "command", asked_at=asked_at, start=origin)
        return snapshot.recording_id

    async def observe(self, snapshot: RecordingSnapshot, by: ObservedBy, **fields: Any) -> None:
        """Apply an observation with this snapshot now."""
        await self.store.apply([observation_of(snapshot, self.now(), by, **fields)])

    async def apply_webhook(self, recording_id: str, status: Status) -> None:
        """Apply a webhook with this status now."""
        snapshot = RecordingSnapshot(recording_id=recording_id, status=status)
        observation = observation_of(snapshot, self.now(), "webhook")
        await self.store.apply_webhook(WebhookObservation(observation=observation))

    async def apply_answer(self, recording_id: str, status: Status) -> None:
        """Apply a command's answer with this status now."""
        snapshot = RecordingSnapshot(recording_id=recording_id, status=status)
        await self.observe(snapshot, "command")

    async def sweep_and_read(self, seconds: float = 0.0) -> None:
        """Advance the clock, sweep once, and make the reads that are due."""
        self.sandbox.clock.advance(seconds)
        await self.sweep.sweep()
        await self.refresher.read_due()

    async def run_due(self, seconds: float = 0.0) -> None:
        """Advance the clock and do the work of the loops, also during an outage of the API."""
        self.sandbox.clock.advance(seconds)
        await self.sweep.sweep_if_due(lambda: True)
        await self.limiter.stop_due()
        await self.refresher.read_due()

    async def record_and_upload(self, kind: Kind = "track", **layers: Any) -> str:
        recording_id = await self.start(kind, **layers)
        self.sandbox.clock.advance(10)
        await self.api.control_recording(recording_id, "stop")
        self.sandbox.clock.advance(10)
        return recording_id

    async def events(self, recording_id: str | None = None) -> list[dict[str, Any]]:
        return [
            msgspec.json.decode(pending.body)
            for pending in await self.store.unsent(10_000)
            if recording_id in {None, pending.subject}
        ]

    async def published(self, recording_id: str) -> list[str]:
        """Statuses, files and completions in the order of their publication."""
        return [_summary(event["type"], event["data"]) for event in await self.events(recording_id)]

    async def event_data(self, recording_id: str, event_type: str) -> list[dict[str, Any]]:
        events = await self.events(recording_id)
        return [event["data"] for event in events if event["type"] == event_type]

    async def stored(self, recording_id: str) -> Recording:
        (recording,) = await self.store.recordings(RecordingsFilter(recording_id=recording_id))
        return recording

    def take_operations(self) -> list[str]:
        """The operations requested since the last call."""
        entries = [
            entry for entry in self.sandbox.request_log.entries() if isinstance(entry, RequestEntry)
        ]
        new, self._counted = entries[self._counted :], len(entries)
        return [request.operation for request in new]


def _exported(body: dict[str, Any]) -> tuple[Media, ...]:
    """The files that the body of a composite's start asks for."""
    both: tuple[Media, ...] = ("video", "audio")
    return tuple(
        media for media in both if body.get(f"{media}_config", {}).get("export_file", True)
    )


def _summary(event_type: str, data: dict[str, Any]) -> str:
    match event_type:
        case "recording.status_changed.v1":
            return str(data["status"])
        case "recording.file_ready.v1":
            return "file"
        case _:
            return f"completed {data['file_count']}"


@asynccontextmanager
async def open_bench(url: str, *, archives: bool = False) -> AsyncIterator[TrackingBench]:
    """A bench on the database at `url`, with or without an archive."""
    options = SandboxOptions(speed=0, behaviour=BEHAVIOUR)
    async with Sandbox(options, clock=Clock(speed=0)) as sandbox:
        store = await Store.open(url, source="test", archives=archives)
        benches: list[TrackingBench] = []

        def on_attempt(attempt: HttpAttempt) -> None:
            for bench in benches:
                bench.breaker.record(attempt.error)

        api = client(base_url=sandbox.base_url, on_attempt=on_attempt)
        benches.append(TrackingBench(sandbox, store, api))
        yield benches[0]
        await api.aclose()
        await store.close()


def client(**changes: Any) -> RealtimeKitClient:
    settings: dict[str, Any] = {
        "base_url": "http://api.example",
        "account_id": "acc",
        "app_id": "app",
        "token": lambda: "token",
        "timeout": 20.0,
        "retry": RequestRetry(attempts=1),
    }
    return RealtimeKitClient(**(settings | changes))
