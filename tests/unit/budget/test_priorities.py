"""How a quota is divided: who may still send how much, after who has sent what."""

import pytest

from worker.budget.priorities import Tier, quota_left


@pytest.mark.parametrize(
    ("commands", "background", "stops", "more_commands", "more_background"),
    [
        (0, 0, 1_000, 800, 900),
        (100, 300, 600, 500, 450),  # the background leaves as much for more commands
        (300, 0, 700, 500, 450),
        (800, 0, 200, 0, 100),  # commands leave the background its floor
        (800, 100, 100, 0, 0),
        (0, 900, 100, 50, 0),  # the background leaves commands their floor
        (20, 900, 80, 30, -20),
        (0, 920, 80, 30, -20),
        (50, 900, 50, 0, -50),  # the last twentieth is for stops alone
    ],
)
def test_stops_commands_and_the_background_keep_their_shares_of_a_quota(
    commands: int, background: int, stops: int, more_commands: int, more_background: int
) -> None:
    spent = commands + background
    left = [quota_left(1_000, spent, background, tier) for tier in Tier]
    assert left == [stops, more_commands, more_background]


@pytest.mark.parametrize("quota", [1, 2, 5, 9, 10])
def test_one_request_of_each_tier_fits_into_any_quota_that_nobody_has_used(quota: int) -> None:
    assert all(quota_left(quota, 0, 0, tier) >= 1 for tier in Tier)


@pytest.mark.parametrize("quota", [3, 4, 8, 9, 10])
def test_commands_leave_a_request_to_reads_and_sweeps_also_of_a_small_quota(quota: int) -> None:
    commands = 0
    while quota_left(quota, commands, 0, Tier.COMMAND) >= 1:
        commands += 1
    assert quota_left(quota, commands, 0, Tier.BACKGROUND) >= 1
    assert quota_left(quota, commands + 1, 1, Tier.STOP) >= 1
