"""The parameters and the results of a run."""

import math
from typing import Final

import msgspec

from recording_schemas import Kind

QUOTA: Final = 1200
QUOTA_SECONDS: Final = 300
READS: Final = frozenset({"get_recording", "list_participants", "get_participant", "get_session"})
"""Requests about one recording, including those for the owners of its files."""

PAGE_SIZE: Final = 100
SWEEP_RATE: Final = 2.0
"""Recordings on a page, and the requests a second that sweeps may make in the long run."""

RATE_LIMITS: Final = (f"{QUOTA}/{QUOTA_SECONDS}", "1000/50:recordings")


MANY_LIVE: Final = 10_000
"""Goals apply from this many live recordings on. More than these are known before it begins."""

MAX_LIVE: Final = 100_000
"""The goals of the largest applications apply from this many live recordings on."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How many live recordings, followed by how many workers; 0 of them is the naive way.

    With `all_end` every one of them ends, within `storm_seconds` if there are any. They are of one
    `kind`.
    """

    live: int
    replicas: int
    webhooks: bool
    all_end: bool = False
    kind: Kind = "track"
    storm_seconds: float | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether the workers follow all recordings before the API has limits, and are then killed.

        At the rate of the budget, the list of a hundred thousand takes five minutes to adopt. When
        a storm begins, no webhooks may wait that are about the beginnings of its recordings.
        """
        return self.live > MANY_LIVE or self.storm_seconds is not None

    @property
    def label(self) -> str:
        """The name of the scenario."""
        if not self.replicas:
            return "naive: each one read every 10 s"
        how = "webhooks" if self.webhooks else "no webhooks"
        if self.all_end:
            how = f"{how}, {self.kind}s"
        if self.storm_seconds is not None:
            how = f"{how}, within {self.storm_seconds:g} s"
        return f"{self.replicas} worker{'s' * (self.replicas > 1)}, {how}"


class LoadProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What happens: recordings end at an even rate for `seconds`, each at random.

    `ends` is how many a second: more than the budget has requests for cannot be followed. With
    webhooks there is a burst afterwards, `burst_ends` a second. An upload takes `upload_seconds`.
    Where all end, they do within `mass_seconds`, and events are awaited `mass_drain_seconds` more.
    """

    seconds: float = 120.0
    ends: float = 0.8
    upload_seconds: float = 20.0
    burst_ends: float = 25.0
    burst_seconds: float = 20.0
    drain_seconds: float = 180.0
    mass_seconds: float = 240.0
    mass_drain_seconds: float = 350.0

    def ends_in_burst(self, scenario: Scenario) -> float:
        """The number of recordings a second that end in the burst. Each has two changes."""
        return 2 * self.burst_ends if scenario.live >= MAX_LIVE else self.burst_ends

    def longest_drain(self, scenario: Scenario) -> float:
        """The seconds for which events are awaited: enough for a sweep at its slowest."""
        return max(self.drain_seconds, 1.3 * scenario.live / PAGE_SIZE / SWEEP_RATE)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part that is measured: when, the CPU and memory it took, and which recordings ended."""

    since: float
    until: float
    cpu: float
    rss: int
    ended: set[str]


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the API's changes to their events; `changes` happened, `missed` have no event.

    `skipped` are changes that were over before any read; the final one follows.
    """

    changes: int
    missed: int
    skipped: int
    p50: float
    p99: float
    most: float


class MassEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How all recordings ended. `seconds` lasted from the first end until the end of the wait.

    `uploaded` are the delays of the last status. `completed` recordings had all their events, the
    last one `last_completed` seconds after the first end; NaN if not all were. `reads` are the
    requests for single recordings in that time, `per_second` all requests. `stops` are the delays
    from a stop command to its request at the API, in that time. `overtaken` is the most seconds by
    which one that was completed earlier had ended later.
    """

    uploaded: Delays
    ended: int
    completed: int
    last_completed: float
    reads: int
    seconds: float
    per_second: float
    stops: Delays
    overtaken: float = math.nan

    @property
    def reads_each(self) -> float:
        """The reads that a completed recording cost."""
        return self.reads / self.completed if self.completed else math.nan

    @property
    def expected_last(self) -> float:
        """When the last is completed: the reads that are left, at the rate that the budget let
        through. Nothing is live any more, so no sweep takes its part."""
        if self.completed == self.ended:
            return self.last_completed
        if not self.completed:
            return math.nan
        return self.seconds + self.reads_left / self.per_second

    @property
    def reads_left(self) -> int:
        """The number of reads that the other recordings need."""
        return round((self.ended - self.completed) * self.reads_each)


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a scenario.

    `requests` by operation and `breaches` are of the whole run, `busiest` the most requests in any
    five minutes of it; `per_second` and, without those for single recordings, `sweeping_per_second`
    of the steady part, as is `cpu`, in processors, all workers together. `rss` in bytes is the most
    of any worker. `reads_each` is how many requests a recording that has ended cost. `files` are
    the delays until a recording's files all had events, `burst` those of its status changes, of
    which there were `burst_changes` a second. `ready_seconds` is the time until a worker was ready
    after all had been killed, None without kills.
    """

    scenario: Scenario
    ends_per_second: float
    adopted_seconds: float
    requests: dict[str, int]
    breaches: int
    busiest: int
    per_second: float
    sweeping_per_second: float
    reads_each: float
    status: Delays
    files: Delays
    burst: Delays | None
    cpu: float
    rss: int
    mass: MassEnding | None = None
    burst_changes: float = 50.0
    ready_seconds: float | None = None

    @property
    def finished_per_hour(self) -> float:
        """The number of recordings an hour that can finish within the budget, with sweeps as in
        this run."""
        left = max(0.0, QUOTA / QUOTA_SECONDS - self.sweeping_per_second)
        return left / self.reads_each * 3600 if self.reads_each else float("nan")


class TrackingResults(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    profile: LoadProfile
    outcomes: list[ScenarioResult]
