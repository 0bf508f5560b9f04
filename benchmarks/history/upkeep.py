"""The worker's operations to remove old rows and to repair times."""

from typing import Final

from benchmarks.history.places import Place, Run, expect
from worker.store.clock_repair import Repair
from worker.store.pruning import PruneCursor, PruneRequest, PruneSentRequest


async def _prune_recordings(place: Place, repetition: int) -> None:
    request = PruneRequest(before=place.prune_before(repetition))
    expect((await place.store.prune_recordings(request)).removed)


async def _prune_commands(place: Place, repetition: int) -> None:
    """A step as the pruner makes them. It keeps the starts whose recordings ended later."""
    begin, end = (place.history.ended_at(400 * (repetition + part)) for part in (0, 1))
    request = PruneRequest(before=end, after=PruneCursor(begin, ""))
    expect((await place.store.prune_commands(request)).removed)


async def _prune_sent(place: Place, repetition: int) -> None:
    first = place.history.first_with_events
    await place.store.prune_sent(
        PruneSentRequest(before=place.history.ended_at(first + 100 * repetition + 100))
    )


async def _correct_times(place: Place, repetition: int) -> None:
    await place.store.correct_times(Repair(now=place.store.now(), read_ahead=86_400.0))


UPKEEP: Final[dict[str, Run]] = {
    "100 recordings with their files": _prune_recordings,
    "500 commands": _prune_commands,
    "500 events": _prune_sent,
    "times that are ahead": _correct_times,
}
