"""How the ledger of a budget counts and grants tokens, without a store or an API."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.budget.ledger import Ledger, TierCounts, TokenGrant, TokenRequest, Usage
from worker.budget.priorities import Priority, Tier
from worker.budget.sliding_window import (
    ARRIVAL_MARGIN_SECONDS,
    TOKEN_LIFETIME_SECONDS,
    ReportedLimit,
)
from worker.domain.rate import Rate

HOUR = 3600.0
NOON = 1_790_000_000.0
STOPS = (1_000_000, 0, 0)
LIFETIME_AND_MARGIN = TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS
COMMANDS = (0, 1_000_000, 0)
BACKGROUND = (0, 0, 1_000_000)


class TimedLedger:
    """A ledger and its clock."""

    def __init__(self, *rates: tuple[int, float]) -> None:
        self.rates = tuple(Rate(*rate) for rate in rates)
        self.ledger = Ledger()
        self.now = NOON

    def take(self, needed: TierCounts = (0, 0, 0), **report: object) -> TokenGrant:
        request = msgspec.convert(
            {"rates": self.rates, "needed": needed, **report}, TokenRequest, from_attributes=True
        )
        grant, self.ledger = self.ledger.apply(request, self.now)
        return grant


# The quota


def test_a_grant_never_exceeds_the_scarcest_window() -> None:
    budget = TimedLedger((100, 300), (10, 50))
    assert sum(budget.take(STOPS).tokens) == 10
    assert sum(budget.take(STOPS).tokens) == 0


def test_spent_tokens_count_for_the_window_plus_lifetime_and_margin() -> None:
    budget = TimedLedger((10, 50))
    budget.take(STOPS)
    budget.now += 50 + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS - 0.01
    assert budget.take(STOPS).tokens == (0, 0, 0)
    budget.now += 50 / 50 + 0.02  # a slot
    assert budget.take(STOPS).tokens == (10, 0, 0)


def test_after_the_granted_wait_one_more_token_is_available() -> None:
    budget = TimedLedger((10, 50))
    grant = budget.take(STOPS)
    for tier in Tier:
        then = TimedLedger((10, 50))
        then.ledger, then.now = budget.ledger, budget.now + grant.waits[tier] - 0.01
        needed: TierCounts = (int(tier == 0), int(tier == 1), int(tier == 2))
        assert sum(then.take(needed).tokens) == 0
        then.now += 0.02
        assert sum(then.take(needed).tokens) == 1


def test_unspent_tokens_can_be_granted_again() -> None:
    budget = TimedLedger((10, HOUR))
    grant = budget.take(STOPS)
    budget.now += 1
    assert sum(budget.take(STOPS, unspent=[Usage(grant.at, 4, 0)]).tokens) == 4


def test_late_requests_count_from_the_time_of_their_report() -> None:
    budget = TimedLedger((10, 50))
    grant = budget.take(STOPS)
    budget.now += 20
    assert sum(budget.take(STOPS, late=[Usage(grant.at, 3, 0)]).tokens) == 0
    budget.now = grant.at + 50 + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS + 1.01
    assert sum(budget.take(STOPS).tokens) == 7


def test_prefetched_tokens_are_from_the_first_half_of_the_quota() -> None:
    budget = TimedLedger((100, HOUR))
    assert sum(budget.take(ahead=(0, 1000, 0)).tokens) == 50
    assert sum(budget.take(ahead=(0, 1000, 0)).tokens) == 0


# The tiers


def test_stops_can_use_the_whole_quota_and_other_commands_leave_them_a_reserve() -> None:
    budget = TimedLedger((100, HOUR))
    assert sum(budget.take(COMMANDS).tokens) < 100
    assert sum(budget.take(COMMANDS).tokens) == 0
    assert sum(budget.take(STOPS).tokens) >= 10


def test_commands_leave_the_background_its_floor() -> None:
    budget = TimedLedger((100, HOUR))
    budget.take(COMMANDS)
    granted = 0
    for _ in range(100):
        granted += sum(budget.take(BACKGROUND).tokens)
        budget.now += HOUR / 200
    assert granted >= 9


def saturated() -> TimedLedger:
    """A budget whose share for reads is used up, without other requests."""
    budget = TimedLedger((1200, 300.0))
    for _ in range(4 * 400):
        budget.take(BACKGROUND)
        budget.now += 0.25
    return budget


def test_reads_use_the_quota_up_to_its_last_tenth() -> None:
    budget, granted = saturated(), 0
    for _ in range(4 * 600):
        granted += sum(budget.take(BACKGROUND).tokens)
        budget.now += 0.25
    assert 3.5 <= granted / 600 <= 3.6


def test_reads_leave_commands_and_stops_a_twentieth_each() -> None:
    budget = saturated()
    assert 60 <= sum(budget.take(COMMANDS).tokens) <= 70
    assert sum(budget.take(COMMANDS).tokens) == 0
    assert sum(budget.take(STOPS).tokens) >= 60


def test_commands_take_from_the_share_of_reads_as_fast_as_it_frees_up() -> None:
    budget, commands = saturated(), 0
    for _ in range(4 * 300):
        commands += budget.take((0, 3, 1_000_000)).tokens[Tier.COMMAND]
        budget.now += 0.25
    assert commands > 0.8 * 1200 * 300 / 306


def test_reads_leave_quota_for_as_many_commands_as_arrived() -> None:
    budget, waited = saturated(), []
    for second in range(1200):
        if second % 2 == 0 and not sum(budget.take((0, 1, 0)).tokens):  # 150 in each window
            waited.append(second)
        budget.take(BACKGROUND)
        budget.now += 1
    assert len(waited) <= 12  # while the reserve grows
    assert all(second < 200 for second in waited)
    assert sum(budget.take(COMMANDS).tokens) >= 60


def test_a_flood_of_commands_leaves_stops_a_tenth() -> None:
    budget = TimedLedger((1200, 300.0))
    assert sum(budget.take(COMMANDS).tokens) == 960
    budget.now += 100
    assert sum(budget.take(BACKGROUND).tokens) > 0
    assert sum(budget.take(COMMANDS).tokens) == 0
    assert sum(budget.take(STOPS).tokens) >= 120


def test_the_background_spends_evenly() -> None:
    budget = TimedLedger((1200, 300.0))
    per_minute = []
    for _ in range(10):
        granted = 0
        for _ in range(600):
            granted += sum(budget.take(BACKGROUND).tokens)
            budget.now += 0.1
        per_minute.append(granted)
    assert max(per_minute) <= min(per_minute) * 1.25
    assert sum(per_minute[:5]) == pytest.approx(1080, rel=0.05)


def test_a_flood_of_sweeps_always_leaves_a_token_for_a_stop() -> None:
    budget = TimedLedger((1200, 300.0), (1000, 50.0))
    for _ in range(3000):
        budget.take(BACKGROUND)
        assert budget.take((1, 0, 0)).tokens == (1, 0, 0)
        budget.now += 3.0


@pytest.mark.parametrize("quota", range(1, 30))
def test_every_tier_can_be_served_however_small_the_quota_is(quota: int) -> None:
    for needed in (STOPS, COMMANDS, BACKGROUND):
        assert sum(TimedLedger((quota, 60.0)).take(needed).tokens) >= 1


def test_reads_and_sweeps_share_the_background_tier() -> None:
    assert [priority.tier for priority in Priority] == [
        Tier.STOP,
        Tier.COMMAND,
        Tier.BACKGROUND,
        Tier.BACKGROUND,
    ]


# Reports of the API


def test_no_tokens_are_granted_during_a_pause() -> None:
    budget = TimedLedger((100, 60.0))
    grant = budget.take(STOPS, paused_for=120.0, stops_paused_for=120.0)
    assert grant.tokens == (0, 0, 0)
    assert grant.waits == (120.0, 120.0, 120.0)
    budget.now += 119.9
    assert budget.take(STOPS).tokens == (0, 0, 0)
    budget.now += 0.2
    assert budget.take(STOPS).tokens == (100, 0, 0)


def test_stops_may_pause_for_a_shorter_time_than_the_others() -> None:
    budget = TimedLedger((100, 60.0))
    grant = budget.take((1, 1, 1), ahead=(1, 1, 1), paused_for=60.0, stops_paused_for=1.0)
    assert (grant.tokens, grant.waits) == ((0, 0, 0), (1.0, 60.0, 60.0))
    budget.now += 1.1
    assert budget.take((1, 1, 1), ahead=(1, 1, 1)).tokens == (2, 0, 0)
    assert budget.take(stops_paused_for=30.0).waits[Tier.STOP] == 30.0
    assert budget.take(STOPS).tokens == (0, 0, 0)


def test_a_pause_is_never_shortened_and_is_bounded() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take(paused_for=90.0)
    assert budget.take(paused_for=10.0).paused_until == NOON + 90
    assert budget.take(paused_for=1e9).paused_until == NOON + 600


def test_usage_of_other_programs_reduces_the_quota() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take((10, 0, 0))
    limit = ReportedLimit(Rate(100, 60.0), left=30)
    assert (
        sum(budget.take(STOPS, limits=[limit]).tokens) == 30 - 7
    )  # the reserve, because others do not spend evenly


def test_usage_of_other_programs_is_forgotten_after_a_window_and_a_quarter() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take(limits=[ReportedLimit(Rate(100, 60.0), left=0)])
    budget.now += 63
    waits = budget.take(STOPS).waits
    assert waits[Tier.STOP] <= 63 / 4
    budget.now += waits[Tier.STOP]
    assert sum(budget.take(STOPS).tokens) == 100


def used_up(left: int = 0) -> ReportedLimit:
    """The API's word that others have used up the quota, and that there is more in 3 s."""
    return ReportedLimit(Rate(1200, 300.0), left, resets_in=3)


def test_one_request_is_sent_when_the_api_says_that_there_is_quota_again() -> None:
    budget = TimedLedger((1200, 300.0))
    grant = budget.take(STOPS, limits=[used_up()])
    assert (grant.tokens, grant.waits[Tier.STOP]) == ((0, 0, 0), 3.0)
    budget.now += 2.9
    assert budget.take(STOPS).tokens == (0, 0, 0)
    budget.now += 0.1
    assert budget.take((9, 9, 9)).tokens == (1, 0, 0)
    assert budget.take((9, 9, 9)).tokens == (0, 0, 0)


@pytest.mark.parametrize("tier", Tier)
def test_a_request_of_any_tier_may_be_the_one_that_is_sent_then(tier: Tier) -> None:
    budget = TimedLedger((1200, 300.0))
    budget.take(limits=[used_up()])
    budget.now += 3
    needed = [0, 0, 0]
    needed[tier] = 9
    assert sum(budget.take((needed[0], needed[1], needed[2])).tokens) == 1


def test_a_part_of_the_quota_is_free_again_if_that_request_finds_some() -> None:
    budget = TimedLedger((1200, 300.0))
    budget.take(limits=[used_up(left=20)])
    budget.now += 3
    assert budget.take(STOPS).tokens == (1, 0, 0)
    assert sum(budget.take(STOPS, limits=[used_up(left=1150)]).tokens) in range(100, 125)


def test_nothing_is_sent_before_the_next_time_if_that_request_finds_none() -> None:
    budget = TimedLedger((1200, 300.0))
    budget.take(limits=[used_up()])
    for _ in range(5):
        budget.now += 3
        assert budget.take(STOPS).tokens == (1, 0, 0)
        assert budget.take(STOPS, limits=[used_up()]).tokens == (0, 0, 0)


def test_a_request_without_an_answer_is_followed_by_another_one_ten_seconds_later() -> None:
    budget = TimedLedger((1200, 300.0))
    budget.take(limits=[used_up()])
    budget.now += 3
    assert budget.take(STOPS).tokens == (1, 0, 0)
    budget.now += 9.9
    assert budget.take(STOPS).tokens == (0, 0, 0)
    budget.now += 0.1
    assert budget.take(STOPS).tokens == (1, 0, 0)


def test_our_own_limit_is_kept_with_every_answer_of_the_api() -> None:
    budget = TimedLedger((1200, 300.0), (10, 300.0))
    budget.take(STOPS)
    budget.take(limits=[used_up()])
    budget.now += 3
    assert budget.take(STOPS).tokens == (0, 0, 0)


@pytest.mark.parametrize("at_once", [1, 10, 1000], ids=["evenly", "in blocks", "everything"])
def test_quota_that_others_spend_evenly_is_left_to_them(at_once: int) -> None:
    rate = Rate(600, 300.0)
    budget, api, used = TimedLedger((rate.requests, rate.seconds)), Api(rate), 0
    reported: list[ReportedLimit] = []
    for second in range(4 * 300):
        api.arrivals.append(budget.now)  # of another program
        if second >= 300:
            needed = (0, at_once, 1) if used else (0, 0, 1)
            granted = sum(budget.take(needed, limits=reported).tokens)
            api.arrivals += [budget.now] * granted
            used += granted
            reported = (
                [ReportedLimit(rate, rate.requests - api.in_window(budget.now))] if granted else []
            )
        budget.now += 1
    assert api.max_in_a_window() <= rate.requests
    assert used > 0.7 * 900  # all that others leave, without the reserve for stops


def test_quota_that_others_no_longer_spend_is_available_again() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take(limits=[ReportedLimit(Rate(100, 60.0), left=20)])
    for _ in range(3 * 60):
        budget.now += 1
        budget.take(limits=[ReportedLimit(Rate(100, 60.0), left=100)])
    assert sum(budget.take(STOPS).tokens) > 90


def test_a_report_of_less_usage_than_ours_changes_nothing() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take((50, 0, 0))
    assert budget.take(limits=[ReportedLimit(Rate(100, 60.0), left=90)]).left == 50


OLD_REPORT = ReportedLimit(Rate(100, 60.0), left=30, age=200.0)
"""The API counted 70 requests in the minute before this report."""


def test_an_old_report_counts_no_usage_of_others_because_it_may_have_been_ours() -> None:
    assert TimedLedger((100, 60.0)).take(limits=[OLD_REPORT]).left == 100


def test_an_old_report_still_confirms_the_usage_of_others_that_is_known() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take(limits=[ReportedLimit(Rate(100, 60.0), left=84)])
    budget.now += 63
    assert budget.take(limits=[OLD_REPORT]).left == 100 - 16 - 4
    budget.now += 63
    assert budget.take().left == 100 - 16 - 4


def test_a_stricter_policy_becomes_a_window_with_the_usage_so_far() -> None:
    budget = TimedLedger((1000, 300.0))
    budget.take((7, 0, 0))
    grant = budget.take(STOPS, limits=[ReportedLimit(Rate(20, 10.0))])
    assert 20 - 7 - 1 <= sum(grant.tokens) <= 20


def test_a_new_policy_counts_the_usage_that_shorter_windows_have_forgotten() -> None:
    budget = TimedLedger((1000, 300.0), (100, 10.0))
    budget.take((7, 0, 0))
    budget.now += 10 + LIFETIME_AND_MARGIN + 1
    grant = budget.take(STOPS, limits=[ReportedLimit(Rate(20, 120.0))])
    assert sum(grant.tokens) == 20 - 7


def test_a_policy_that_is_no_longer_reported_is_forgotten() -> None:
    budget = TimedLedger((1000, 300.0))
    budget.take(limits=[ReportedLimit(Rate(20, 10.0))])
    budget.now += 601
    assert sum(budget.take(STOPS).tokens) == 1000


def test_only_a_few_policies_are_kept() -> None:
    budget = TimedLedger((1000, 300.0))
    budget.take(limits=[ReportedLimit(Rate(quota, 10.0)) for quota in range(50, 500)])
    assert len(budget.ledger.windows) <= 5


def test_a_new_configuration_takes_effect_at_once_with_the_usage_so_far() -> None:
    budget = TimedLedger((1000, 300.0))
    budget.take((100, 0, 0))
    budget.rates = (Rate(150, 300.0),)
    assert sum(budget.take(STOPS).tokens) == 50
    budget.rates = (Rate(2000, 300.0),)
    assert sum(budget.take(STOPS).tokens) == 1850


# Clocks


def test_a_clock_that_goes_back_an_hour_blocks_no_longer_than_the_maximum_pause() -> None:
    budget = TimedLedger((100, 60.0))
    budget.take(STOPS)
    budget.take(BACKGROUND, paused_for=60.0)
    budget.now -= HOUR
    grant = budget.take(STOPS)
    assert grant.tokens == (0, 0, 0)
    assert max(grant.waits) <= 600
    budget.now += 600.1
    assert sum(budget.take(STOPS).tokens) == 100


# Everything together


class Api:
    """Counts arrivals in one sliding window."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self.arrivals: list[float] = []

    def in_window(self, now: float) -> int:
        return sum(at > now - self._rate.seconds for at in self.arrivals)

    def max_in_a_window(self) -> int:
        times, most_at_once, first = sorted(self.arrivals), 0, 0
        for last, at in enumerate(times):
            while times[first] <= at - self._rate.seconds:
                first += 1
            most_at_once = max(most_at_once, last - first + 1)
        return most_at_once


@settings(max_examples=300, deadline=None)
@given(
    rate=st.tuples(st.integers(1, 60), st.sampled_from([1.0, 3.3, 10.0, 60.0])),
    steps=st.lists(
        st.tuples(
            # Seconds until the next request; None: the granted wait.
            st.none() | st.floats(0.0, 20.0),
            st.sampled_from([STOPS, COMMANDS, BACKGROUND, (1, 1, 1), (0, 0, 0)]),
            st.integers(0, 20),  # ahead
            st.sampled_from([0.0, 0.5, 1.0]),  # the share of tokens that is spent
            st.sampled_from([0.0, 0.99, 1.0]),  # when, as a share of lifetime and margin
        ),
        max_size=40,
    ),
    seed=st.integers(0, 2**32),
)
def test_no_window_of_the_api_ever_exceeds_its_rate(
    rate: tuple[int, float],
    steps: list[tuple[float | None, TierCounts, int, float, float]],
    seed: int,
) -> None:
    rng, budget = random.Random(seed), TimedLedger(rate)
    api = Api(budget.rates[0])
    unspent: list[Usage] = []
    late: list[tuple[float, float, int]] = []  # arrival, time of the grant, background
    wait = 0.0
    for pause, needed, ahead, share, lag in steps:
        until = budget.now + (wait if pause is None else pause)
        for arrival, at, background in sorted(entry for entry in late if entry[0] <= until):
            budget.now = arrival  # late requests are reported when they end
            budget.take(late=[Usage(at, 1, background)])
        late = [entry for entry in late if entry[0] > until]
        budget.now = until
        grant = budget.take(needed, ahead=(0, ahead, ahead), unspent=unspent)
        unspent, wait = [], grant.waits[Tier.STOP]
        for tier in Tier:
            granted, background = grant.tokens[tier], int(tier is Tier.BACKGROUND)
            used = round(granted * share)
            for _ in range(used):
                at = grant.at + LIFETIME_AND_MARGIN * lag
                if rng.random() < 0.2:
                    at = grant.at + LIFETIME_AND_MARGIN + rng.uniform(0, min(rate[1], 10.0))
                    late.append((at, grant.at, background))
                api.arrivals.append(at)
            if unused := granted - used:
                unspent.append(Usage(grant.at, unused, unused * background))
    assert api.max_in_a_window() <= rate[0]
