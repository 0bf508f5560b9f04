"""Divides a quota of requests between stops, other commands, and the background."""

from enum import IntEnum
from typing import Final, NamedTuple


class Priority(IntEnum):
    """The urgency of a request: the lowest number goes first when quota is short."""

    STOP = 0
    COMMAND = 1
    READ = 2
    SWEEP = 3

    @property
    def tier(self) -> "Tier":
        """The share of the budget that the request is taken from."""
        return Tier(min(self, Tier.BACKGROUND))


class Tier(IntEnum):
    """A share of the budget. Reads and sweeps share the background tier."""

    STOP = 0
    COMMAND = 1
    BACKGROUND = 2


class RequestPriority(NamedTuple):
    """The urgency of a request. A `patient` request waits for quota without a time limit."""

    priority: Priority = Priority.COMMAND
    patient: bool = False


COMMAND_SHARE: Final = 0.9
"""Commands leave the quota above this share to stops, unless the background has used the
remainder."""

COMMAND_FLOOR: Final = 0.05
"""Commands keep this share however many reads there are, so that a start seldom waits for a read.
The last `COMMAND_FLOOR` of the quota is for stops alone."""

BACKGROUND_SHARE: Final = 0.9
"""Reads and sweeps may use the quota up to its last tenth, less what commands use."""

COMMAND_RESERVE: Final = 0.15
"""The most that reads leave unused in addition, for more commands. Each command above
`COMMAND_FLOOR` reserves a place for the next."""

BACKGROUND_FLOOR: Final = 0.1
"""The background keeps this share however many commands there are, because the recordings that
commands start must be followed."""

SMALLEST_SHARED_QUOTA: Final = 3
"""From this quota on, the background keeps at least one request."""

BURST_SHARE: Final = 0.02
"""The part of its share that the background may use at once. It is paced evenly beyond that."""

SWEEP_SHARE_OF_RATE: Final = 0.5
"""Sweeps may use this share of an app's sustained request rate. Commands and reads of single
recordings need the rest."""

SESSION_POLL_SHARE_OF_RATE: Final = 0.1
"""Lists of live sessions may use this share, while starts wait for a session."""


def quota_left(quota: int, spent: int, background: int, tier: Tier) -> int:
    """How many more requests of `tier` fit into `quota`; below 1 when none is left.

    `spent` counts all requests, `background` those of the background tier among them. While nothing
    is spent, at least one request of each tier fits.
    """
    for_commands = max(int(quota * COMMAND_SHARE), 1)
    floor = _background_floor(quota)
    match tier:
        case Tier.STOP:
            return quota - spent
        case Tier.COMMAND:
            commands = spent - background
            of_share = for_commands - commands - max(background, floor)
            kept = int(quota * COMMAND_FLOOR)
            return max(of_share, min(kept - commands, quota - kept - spent))
        case Tier.BACKGROUND:
            expected = spent - background - int(quota * COMMAND_FLOOR)
            reserve = min(max(expected, 0), int(quota * COMMAND_RESERVE))
            of_share = background_quota(quota) - spent - reserve
            return max(of_share, min(floor - background, for_commands - spent))


def _background_floor(quota: int) -> int:
    share = int(quota * BACKGROUND_FLOOR)
    return max(share, 1) if quota >= SMALLEST_SHARED_QUOTA else share


def background_quota(quota: int) -> int:
    """How many requests of `quota` the background may use while no command uses any."""
    return max(int(quota * BACKGROUND_SHARE), 1)


def background_burst(quota: int) -> float:
    """How many requests of `quota` the background may use at once."""
    return max(background_quota(quota) * BURST_SHARE, 1.0)
