"""Builds the parts that follow the recordings of one app, and runs them together."""

from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from worker.budget.priorities import SESSION_POLL_SHARE_OF_RATE, SWEEP_SHARE_OF_RATE, Priority
from worker.domain.timeouts import Timeouts
from worker.domain.times import utc
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.realtimekit.apps import App
from worker.settings.settings import Settings
from worker.store.store import Store
from worker.tracking.discovery import ExternalRecordingDiscovery
from worker.tracking.duration_limiter import DurationLimiter
from worker.tracking.idle_probe import IdleProbe
from worker.tracking.refresher import Refresher
from worker.tracking.session_watch import SessionWatch
from worker.tracking.shown_files import ShownFiles
from worker.tracking.sweep import Sweep
from worker.tracking.sweep_interval import SweepInterval

STOP_QUEUE_SECONDS: Final = 5.0
"""A stop may wait for its budget token for this long, in addition to the time-out of the API."""


class Trackers(msgspec.Struct, frozen=True, kw_only=True):
    """The trackers of one app. Only those of the leading replica make requests, except that of
    `idle_probe`."""

    app: str
    sweep: Sweep
    refresher: Refresher
    duration_limiter: DurationLimiter
    session_watch: SessionWatch
    idle_probe: IdleProbe

    def loops(
        self, is_leader: Callable[[], bool]
    ) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """The loop of each tracker, with the name of its task. Each ends only when cancelled."""
        yield f"sweep/{self.app}", self.sweep.run(is_leader)
        yield f"refresh/{self.app}", self.refresher.run(is_leader)
        yield f"limit/{self.app}", self.duration_limiter.run(is_leader)
        yield f"sessions/{self.app}", self.session_watch.run(is_leader)
        yield f"probe/{self.app}", self.idle_probe.run()


def build_trackers(
    store: Store,
    app: App,
    settings: Settings,
    *,
    metrics: Metrics,
    tracing: Tracing,
    shown_files: ShownFiles,
) -> Trackers:
    """The trackers of one app. `shown_files` has the files that webhooks show, and gets those
    that lists show."""

    def now() -> datetime:
        return utc(store.now())

    timeouts = _timeouts(settings)
    sweep_api = app.api.with_priority(Priority.SWEEP)
    discovery = ExternalRecordingDiscovery(store, sweep_api, app=app.name, now=now)
    sweep = Sweep(
        store,
        sweep_api,
        timeouts,
        SweepInterval(
            base=settings.sweep_interval_seconds,
            audit=settings.audit_interval_seconds,
            rate=app.sustained_rate * SWEEP_SHARE_OF_RATE,
        ),
        app=app.name,
        discovery=discovery if app.follow_all else None,
        shown_files=shown_files,
        breaker=app.breaker,
        metrics=metrics,
        tracing=tracing,
        now=now,
    )
    refresher = Refresher(
        store,
        app.api.with_priority(Priority.READ),
        timeouts,
        app=app.name,
        breaker=app.breaker,
        now=now,
        sweep_state=sweep.state,
        request_sweep=sweep.request,
        shown_files=shown_files,
        tracing=tracing,
    )
    store.subscribe("due", refresher.wake)
    duration_limiter = DurationLimiter(
        store,
        app.api.with_priority(Priority.STOP),
        app=app.name,
        breaker=app.breaker,
        attempt_seconds=settings.api_timeout_seconds + STOP_QUEUE_SECONDS,
        now=now,
        tracing=tracing,
    )
    session_watch = SessionWatch(
        store,
        sweep_api,
        app=app.name,
        interval=settings.sweep_interval_seconds,
        rate=app.sustained_rate * SESSION_POLL_SHARE_OF_RATE,
        breaker=app.breaker,
        now=store.now,
    )
    return Trackers(
        app=app.name,
        sweep=sweep,
        refresher=refresher,
        duration_limiter=duration_limiter,
        session_watch=session_watch,
        idle_probe=IdleProbe(
            sweep_api, interval=settings.sweep_interval_seconds, breaker=app.breaker
        ),
    )


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(
        files_settle=settings.files_settle_seconds,
        files_wait=settings.files_wait_seconds,
        files_late=settings.files_late_seconds,
        invoked_timeout=settings.invoked_timeout_seconds,
        uploading_timeout=settings.uploading_timeout_seconds,
        recording_timeout=settings.recording_timeout_seconds,
        vanished_after=settings.reconcile_seconds,
    )
