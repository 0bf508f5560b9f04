"""The clock of pruning. A jump of the shared clock cannot make it remove new rows.

The shared clock may be ahead for a moment, or be corrected by a month. Then all rows seem a month
older. The leader prunes every minute, so a larger step between two prunings is a jump, or a time
without pruning. In neither case is it certain that rows have become older. So each such step is
ignored for as long as rows are kept.

The first pruning counts all time before it as a jump.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import sqlalchemy as sa

from worker.store.database.schema import named_times

MAX_STEP_SECONDS: Final = 120.0
"""A longer time between two prunings, which are a minute apart, is a jump."""

STEADY_SECONDS: Final = 600.0
"""A clock that went back may be wrong for a moment, and times that seem ahead of it may be right.
"""

_LAST: Final = "prune/last"
_BACK: Final = "prune/back"
_JUMP: Final = "prune/jump/"
"""Before the number of the second at which the jump was noticed. `at` is its size in seconds."""


class PruneClock(msgspec.Struct, frozen=True, kw_only=True):
    """The time of the last pruning, and the jumps of the clock since then.

    `jumps`: when each jump forward was noticed, and its size. `went_back`: when a jump back was
    noticed. Times are seconds since the epoch by the shared clock. `settled_back`: with this
    pruning, the clock has been steady for a while after a jump back.
    """

    last: float | None = None
    jumps: Mapping[float, float] = {}
    went_back: float | None = None
    settled_back: bool = False

    def advance(self, now: float, *, longest: float) -> "PruneClock":
        """The clock after a pruning at `now`. A jump is remembered for `longest` seconds."""
        step = now if self.last is None else now - self.last
        jumps = dict(self.jumps) if step >= 0 else _taken_back(self.jumps, -step, now)
        if step > MAX_STEP_SECONDS:
            jumps[float(int(now))] = step
        back = now if step < -MAX_STEP_SECONDS else self.went_back
        is_over = back is not None and not back <= now < back + STEADY_SECONDS
        return PruneClock(
            last=now,
            jumps=_recent(jumps, now, longest),
            went_back=None if is_over else back,
            settled_back=is_over and 0 <= step <= MAX_STEP_SECONDS,
        )

    def horizon(self, keep_seconds: float) -> float:
        """Rows older than this were kept for `keep_seconds`, even if the clock jumped."""
        now = self.last or 0.0
        return now - keep_seconds - sum(_recent(self.jumps, now, keep_seconds).values())

    @property
    def is_steady(self) -> bool:
        """Whether the clock has not gone back for a while, so that times ahead of it are wrong."""
        return self.went_back is None


def _recent(jumps: Mapping[float, float], now: float, seconds: float) -> dict[float, float]:
    """The jumps of the last `seconds`. The jumps after a jump do not count as time."""
    recent: dict[float, float] = {}
    for at in sorted(jumps, reverse=True):
        if now - sum(recent.values()) < at + seconds:
            recent[at] = jumps[at]
    return recent


def _taken_back(jumps: Mapping[float, float], seconds: float, now: float) -> dict[float, float]:
    """The jumps after the clock went back by this amount: the last ones are undone first."""
    left: dict[float, float] = {}
    for at in sorted(jumps, reverse=True):
        undone = min(jumps[at], seconds)
        seconds -= undone
        if jumps[at] - undone > MAX_STEP_SECONDS:
            noticed_at = float(int(min(at, now)))
            left[noticed_at] = left.get(noticed_at, 0.0) + jumps[at] - undone
    return left


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """A pruning at `now`. `longest` is the longest time for which anything is kept."""

    now: float
    longest: float


def advance(connection: sa.Connection, pruning: Pruning) -> PruneClock:
    """Note a pruning. Returns the clock for it."""
    names = named_times.c.name.startswith("prune/")
    rows = connection.execute(sa.select(named_times.c.name, named_times.c.at).where(names))
    times = {row.name: row.at for row in rows}
    last, back = times.pop(_LAST, None), times.pop(_BACK, None)
    jumps = {float(name.removeprefix(_JUMP)): size for name, size in times.items()}
    known = PruneClock(last=last, jumps=jumps, went_back=back)
    clock = known.advance(pruning.now, longest=pruning.longest)
    connection.execute(sa.delete(named_times).where(names))
    connection.execute(sa.insert(named_times), [{"name": n, "at": at} for n, at in _times(clock)])
    return clock


def _times(clock: PruneClock) -> Iterator[tuple[str, float]]:
    if clock.last is not None:
        yield _LAST, clock.last
    if clock.went_back is not None:
        yield _BACK, clock.went_back
    for at, size in clock.jumps.items():
        yield f"{_JUMP}{at:.0f}", size
