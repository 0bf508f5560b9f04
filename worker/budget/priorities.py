"""How a budget is divided when it is short: stops, other commands, what runs in the background."""

from enum import IntEnum
from typing import Final, NamedTuple


class Priority(IntEnum):
    """Who goes first when requests are short."""

    STOP = 0
    COMMAND = 1
    READ = 2
    SWEEP = 3

    @property
    def tier(self) -> "Tier":
        """Which share of the budget it comes out of."""
        return Tier(min(self, Tier.BACKGROUND))


class Tier(IntEnum):
    """A share of the budget. Reads and sweeps have one in common."""

    STOP = 0
    COMMAND = 1
    BACKGROUND = 2


class RequestPriority(NamedTuple):
    """The urgency of a request. A `patient` request waits for quota without a time limit."""

    priority: Priority = Priority.COMMAND
    patient: bool = False


COMMANDS_SHARE: Final = 0.9
"""What is above it, only stops may use."""

BACKGROUND_SHARE: Final = 0.75

BACKGROUND_FLOOR: Final = 0.1
"""So much is kept for the background however many commands there are: what they began must be
followed."""

BURST_SHARE: Final = 0.02
"""How much of its share the background may use at once; the rest comes evenly."""


def room(quota: int, spent: int, background: int, tier: Tier) -> int:
    """How many more requests of `tier` fit into a quota of which so much is spent.

    Below 1 when there is none left. Nothing being spent, there is room for one of each tier.
    """
    for_commands = max(int(quota * COMMANDS_SHARE), 1)
    floor = int(quota * BACKGROUND_FLOOR)
    match tier:
        case Tier.STOP:
            return quota - spent
        case Tier.COMMAND:
            return for_commands - (spent - background) - max(background, floor)
        case Tier.BACKGROUND:
            of_all = background_share(quota) - spent
            return max(of_all, min(floor - background, for_commands - spent))


def background_share(quota: int) -> int:
    """The most that the background may use of a quota while nobody else uses any."""
    return max(int(quota * BACKGROUND_SHARE), 1)


def background_burst(quota: int) -> float:
    """How much of a quota the background may use at once."""
    return max(background_share(quota) * BURST_SHARE, 1.0)
