"""Turns the answers of worker, database and broker into checks. Pure functions.

The limits are those of the alerts in helm/recording-worker/files/alerts.yaml.
"""

from collections.abc import Iterator, Sequence
from math import inf
from typing import Final, Literal

import msgspec

from recording_schemas import Status
from worker.broker.admin.queue_counts import QueueCounts
from worker.cli.status.sources import Facts
from worker.cli.text import counted
from worker.cli.times import rounded_duration
from worker.observability.probe_client import Readiness
from worker.store.admin.overview import BudgetUsage, Overview, SweepInfo
from worker.store.archive_reading import ArchiveDepth
from worker.store.due_commands import ParkedCount

CheckState = Literal["ok", "warning", "failed", "unknown"]

MAX_OUTBOX_AGE_SECONDS: Final = 60.0
MAX_SILENCE_SECONDS: Final = 900.0
"""The maximum age of the last sweep, and the longest time for which a scheduled read may be due."""

MAX_ARCHIVE_AGE_SECONDS: Final = 7_200.0
MIN_EXPIRY_SECONDS: Final = 86_400.0
"""A file whose URL expires earlier than this may be lost."""

MAX_UNCHANGED_SECONDS: Final = {
    Status.INVOKED: 600.0,
    Status.UPLOADING: 9_000.0,
    Status.RECORDING: 93_600.0,
    Status.PAUSED: 93_600.0,
}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the screen. `see` is a command that shows more."""

    name: str
    state: CheckState
    text: str
    see: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """All checks. `is_healthy` is None if neither a worker nor the database can be read."""

    is_healthy: bool | None
    checks: tuple[Check, ...]


def judge(facts: Facts) -> Health:
    """Whether the workers are healthy. Warnings and unknown values do not count against them."""
    checks = tuple(_checks(facts))
    is_failed = any(check.state == "failed" for check in checks)
    is_unknown = isinstance(facts.readiness, str) and isinstance(facts.overview, str)
    return Health(is_healthy=False if is_failed else None if is_unknown else True, checks=checks)


def _checks(facts: Facts) -> Iterator[Check]:
    yield from _worker_checks(facts)
    if isinstance(facts.overview, str):
        yield Check(name="database", state="unknown", text=facts.overview)
    else:
        yield from _state_checks(facts.overview)
    if isinstance(facts.queues, str):
        # The worker knows better whether it can reach the broker than this process does.
        is_known = isinstance(facts.readiness, Readiness) or isinstance(facts.overview, str)
        yield Check(name="broker", state="unknown" if is_known else "failed", text=facts.queues)
    else:
        yield from _queue_checks(facts.queues, _replicas(facts.overview))


# The worker itself

_CLOSED: Final = "the circuit is closed: requests are sent"
_ONLY_A_WORKER_KNOWS: Final = "only a running worker knows whether its circuit to the API is open"


def _worker_checks(facts: Facts) -> Iterator[Check]:
    if isinstance(facts.readiness, str):
        yield _silent_worker(facts, facts.readiness)
        yield Check(name="api", state="unknown", text=_ONLY_A_WORKER_KNOWS)
        return
    yield Check(name="worker", state="ok", text=f"answers at {facts.worker_url}")
    for name, check in facts.readiness.checks.items():
        # One app that can be used is enough to be ready.
        state: CheckState = "warning" if facts.readiness.ok else "failed"
        text = _CLOSED if check.ok and name.partition("/")[0] == "api" else ""
        yield Check(name=name, state="ok" if check.ok else state, text=check.reason or text)


def _silent_worker(facts: Facts, reason: str) -> Check:
    text = f"none answers at {facts.worker_url}: {reason}"
    if isinstance(facts.overview, str):
        return Check(name="worker", state="unknown", text=text)
    if facts.overview.leader is None:
        return Check(name="worker", state="failed", text=text)
    return Check(name="worker", state="unknown", text=f"{text}. The leader is elsewhere")


# The state


def _state_checks(overview: Overview) -> Iterator[Check]:
    now = overview.at
    yield _leader(overview)
    yield from _recordings(overview)
    yield _outbox(overview)
    accounts = [usage.account for usage in overview.budgets]
    for name, usage in zip(_named("budget", accounts), overview.budgets, strict=True):
        yield _budget(name, usage, now)
    if not accounts:
        yield Check(name="budget", state="ok", text="no request was sent yet")
    apps = [sweep.app for sweep in overview.sweeps]
    for name, sweep in zip(_named("sweep", apps), overview.sweeps, strict=True):
        yield _sweep(name, sweep, now)
    for name, sweep in zip(_named("webhooks", apps), overview.sweeps, strict=True):
        yield _webhooks(name, sweep, now)
    yield _parked(overview)
    yield _archive(overview.archive, now)


def _named(name: str, of: Sequence[str]) -> list[str]:
    """The names of checks that exist once for each app or account."""
    return [name] if len(of) == 1 else [f"{name} {each}" for each in of]


def _leader(overview: Overview) -> Check:
    leader = overview.leader
    if leader is None:
        text = "no replica holds the lease: nothing is published or followed"
        return Check(name="leader", state="failed", text=text)
    text = f"holds the lease for {rounded_duration(leader.until - overview.at)} more"
    return Check(name="leader", state="ok", text=f"{text}, {counted(overview.replicas, 'replica')}")


def _recordings(overview: Overview) -> Iterator[Check]:
    apps = sorted({count.app for count in overview.recordings})
    for name, app in zip(_named("recordings", apps), apps, strict=True):
        yield Check(name=name, state="ok", text=_by_status(overview, app))
    if not apps:
        yield Check(name="recordings", state="ok", text="none is live")
    for status, since in sorted(overview.staleness.unchanged_since.items()):
        age = overview.at - since
        if age > MAX_UNCHANGED_SECONDS.get(status, age):
            yield Check(
                name="stalled",
                state="warning",
                text=f"one has been {status} for {rounded_duration(age)}",
                see=f"recording-worker recordings --sort unchanged --status {status}",
            )
    due_since = overview.staleness.due_since
    if due_since is not None and overview.at - due_since > MAX_SILENCE_SECONDS:
        text = f"one was due to be read {rounded_duration(overview.at - due_since)} ago"
        yield Check(name="reads", state="warning", text=text)


def _by_status(overview: Overview, app: str) -> str:
    counts = [count for count in overview.recordings if count.app == app]
    live = [f"{count.count} {count.status}" for count in counts if count.live]
    parts = [", ".join(live) or "none is live"]
    parts += [
        f"{'participants' if count.status is Status.ERRORED else 'files'} of {count.count} awaited"
        for count in counts
        if not count.live
    ]
    return "; ".join(parts)


def _outbox(overview: Overview) -> Check:
    outbox = overview.outbox
    age = 0.0 if outbox.oldest_at is None else overview.at - outbox.oldest_at
    parts = [f"{counted(outbox.events, 'event')} to publish"]
    parts += [f"the oldest for {rounded_duration(age)}"] if outbox.events else []
    parts += [f"{outbox.deferred} refused by RabbitMQ"] if outbox.deferred else []
    parts += [f"{outbox.set_aside} set aside"] if outbox.set_aside else []
    is_wrong = outbox.deferred or outbox.set_aside
    state: CheckState = "warning" if is_wrong else "ok"
    return Check(
        name="outbox",
        state="failed" if age > MAX_OUTBOX_AGE_SECONDS else state,
        text=", ".join(parts),
        see="recording-worker store set-aside" if outbox.set_aside else None,
    )


def _budget(name: str, usage: BudgetUsage, now: float) -> Check:
    parts = [
        f"{window.left:,} of {window.requests:,} requests left in {window.seconds:.15g} s"
        for window in usage.windows
    ]
    is_short = any(window.left == 0 for window in usage.windows)
    paused_for = usage.paused_until - now
    if paused_for > 0:
        allowed = "no requests" if usage.stops_paused_until > now else "stops alone"
        parts.insert(0, f"{allowed} for {rounded_duration(paused_for)}, because the API throttles")
    state: CheckState = "warning" if is_short or paused_for > 0 else "ok"
    return Check(name=name, state=state, text=", ".join(parts))


def _sweep(name: str, sweep: SweepInfo, now: float) -> Check:
    age = now - sweep.swept_at
    state: CheckState = "warning" if age > MAX_SILENCE_SECONDS else "ok"
    return Check(name=name, state=state, text=f"the last one completed {rounded_duration(age)} ago")


def _webhooks(name: str, sweep: SweepInfo, now: float) -> Check:
    arrived, missed = sweep.webhook_at, sweep.missed_webhook_at
    if arrived is None:
        text = "none arrived for a live recording; sweeps find the changes"
        return Check(name=name, state="ok", text=text)
    text = f"came {rounded_duration(now - arrived)} ago"
    if missed is None or missed <= arrived:
        return Check(name=name, state="ok", text=f"{text}; no change was missed since")
    text = f"{text}; a change was missed {rounded_duration(now - missed)} ago"
    return Check(name=name, state="warning", text=text, see="recording-worker webhooks list")


def _parked(overview: Overview) -> Check:
    parts = [
        _waiting(waits_for, count, overview.at) for waits_for, count in overview.parked.items()
    ]
    return Check(name="waiting", state="ok", text="; ".join(sorted(parts)) or "no command")


def _waiting(waits_for: str, count: ParkedCount, now: float) -> str:
    text = f"{counted(count.commands, 'command')} for a {waits_for}"
    since = count.oldest_at
    return text if since is None else f"{text}, the oldest for {rounded_duration(now - since)}"


def _archive(archive: ArchiveDepth, now: float) -> Check:
    age = 0.0 if archive.oldest_at is None else now - archive.oldest_at
    left = inf if archive.first_expiry is None else archive.first_expiry - now
    parts = [f"{counted(archive.queued, 'file')} to copy"]
    parts += [f"the oldest for {rounded_duration(age)}"] if archive.queued else []
    parts += (
        [f"the first URL expires in {rounded_duration(left)}"]
        if archive.queued and left < inf
        else []
    )
    parts += [f"{archive.refused} refused by the storage"] if archive.refused else []
    parts += [f"{archive.failed} given up"] if archive.failed else []
    is_late = age > MAX_ARCHIVE_AGE_SECONDS
    state: CheckState = "warning" if is_late or archive.failed else "ok"
    if archive.refused or left < MIN_EXPIRY_SECONDS:
        state = "failed"
    see = None if state == "ok" else "recording-worker archive list"
    return Check(name="archive", state=state, text=", ".join(parts), see=see)


def _replicas(overview: Overview | str) -> int | None:
    """How many workers the database has. None if it does not answer, or none of them can write."""
    if isinstance(overview, str) or overview.leader is None:
        return None
    return overview.replicas


# The broker

_FOREIGN_CONSUMERS: Final = (
    "a worker that died may still be counted for a minute; if this stays, a worker with another "
    "database, one that cannot write to this one, or another program takes commands"
)
"""RabbitMQ keeps the consumer of a dead host until its heartbeats are missed. Its lease in the
database may have ended before, so one look cannot tell it from a foreign consumer."""


def _queue_checks(queues: QueueCounts, replicas: int | None) -> Iterator[Check]:
    """`replicas` is None if it is unknown how many workers the database has."""
    commands, dead = queues.commands, queues.dead
    if commands.messages is None or dead.messages is None:
        missing = commands.name if commands.messages is None else dead.name
        text = f"the queue {missing} does not exist"
        yield Check(name="queue", state="failed", text=text, see="recording-worker topology check")
        return
    later = sum(queue.messages or 0 for queue in queues.retries)
    consumers = commands.consumers or 0
    parts = [
        counted(commands.messages, "command"),
        f"{later} to try again later",
        counted(consumers, "consumer"),
    ]
    state: CheckState = "ok" if consumers else "failed"
    if replicas is not None and consumers > replicas:
        state = "warning"
        parts.append(f"but {counted(replicas, 'replica')} of this database: {_FOREIGN_CONSUMERS}")
    yield Check(name="queue", state=state, text=", ".join(parts))
    yield Check(
        name="dead letters",
        state="warning" if dead.messages else "ok",
        text=str(dead.messages),
        see="recording-worker dead list" if dead.messages else None,
    )
