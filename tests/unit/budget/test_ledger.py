"""How a budget is counted and shared out, without a clock, a store or an API."""

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
COUNTED_ON = TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS
ACTS = (0, 1_000_000, 0)
BACKGROUND = (0, 0, 1_000_000)


class Book:
    """A ledger and the time it is."""

    def __init__(self, *rates: tuple[int, float]) -> None:
        self.rates = tuple(Rate(*one) for one in rates)
        self.ledger = Ledger()
        self.now = NOON

    def take(self, needed: TierCounts = (0, 0, 0), **more: object) -> TokenGrant:
        ask = msgspec.convert(
            {"rates": self.rates, "needed": needed, **more}, TokenRequest, from_attributes=True
        )
        grant, self.ledger = self.ledger.apply(ask, self.now)
        return grant


# How much there is


def test_no_more_is_given_than_the_scarcest_window_has() -> None:
    book = Book((100, 300), (10, 50))
    assert sum(book.take(STOPS).tokens) == 10
    assert sum(book.take(STOPS).tokens) == 0


def test_what_was_spent_counts_for_the_window_and_for_as_long_as_it_may_take_to_arrive() -> None:
    book = Book((10, 50))
    book.take(STOPS)
    book.now += 50 + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS - 0.01
    assert book.take(STOPS).tokens == (0, 0, 0)
    book.now += 50 / 50 + 0.02  # a slot
    assert book.take(STOPS).tokens == (10, 0, 0)


def test_the_wait_that_is_told_is_the_one_after_which_there_is_more() -> None:
    book = Book((10, 50))
    grant = book.take(STOPS)
    for tier in Tier:
        then = Book((10, 50))
        then.ledger, then.now = book.ledger, book.now + grant.waits[tier] - 0.01
        needed: TierCounts = (int(tier == 0), int(tier == 1), int(tier == 2))
        assert sum(then.take(needed).tokens) == 0
        then.now += 0.02
        assert sum(then.take(needed).tokens) == 1


def test_what_was_not_used_can_be_given_to_others() -> None:
    book = Book((10, HOUR))
    grant = book.take(STOPS)
    book.now += 1
    assert sum(book.take(STOPS, unspent=[Usage(grant.at, 4, 0)]).tokens) == 4


def test_what_was_late_counts_from_when_it_surely_had_arrived() -> None:
    book = Book((10, 50))
    grant = book.take(STOPS)
    book.now += 20
    assert sum(book.take(STOPS, late=[Usage(grant.at, 3, 0)]).tokens) == 0
    book.now = grant.at + 50 + TOKEN_LIFETIME_SECONDS + ARRIVAL_MARGIN_SECONDS + 1.01
    assert sum(book.take(STOPS).tokens) == 7


def test_what_is_only_expected_is_given_out_of_plenty_alone() -> None:
    book = Book((100, HOUR))
    assert sum(book.take(ahead=(0, 1000, 0)).tokens) == 50
    assert sum(book.take(ahead=(0, 1000, 0)).tokens) == 0


# Who gets it


def test_stops_can_have_all_of_it_and_other_commands_leave_them_a_reserve() -> None:
    book = Book((100, HOUR))
    assert sum(book.take(ACTS).tokens) < 100
    assert sum(book.take(ACTS).tokens) == 0
    assert sum(book.take(STOPS).tokens) >= 10


def test_commands_leave_the_background_enough_to_follow_what_they_began() -> None:
    book = Book((100, HOUR))
    book.take(ACTS)
    given = 0
    for _ in range(100):
        given += sum(book.take(BACKGROUND).tokens)
        book.now += HOUR / 200
    assert given >= 9


def test_the_background_leaves_the_commands_their_share() -> None:
    book = Book((100, HOUR))
    given = 0
    for _ in range(1000):
        given += sum(book.take(BACKGROUND).tokens)
        book.now += HOUR / 1100
    assert given <= 75
    assert sum(book.take(ACTS).tokens) >= 15
    assert sum(book.take(STOPS).tokens) >= 10


def test_the_background_spends_evenly() -> None:
    book = Book((1200, 300.0))
    of_minutes = []
    for _ in range(10):
        given = 0
        for _ in range(600):
            given += sum(book.take(BACKGROUND).tokens)
            book.now += 0.1
        of_minutes.append(given)
    assert max(of_minutes) <= min(of_minutes) * 1.25
    assert sum(of_minutes[:5]) == pytest.approx(900, rel=0.05)


def test_a_flood_of_sweeps_leaves_a_stop_its_leave_at_every_moment() -> None:
    book = Book((1200, 300.0), (1000, 50.0))
    for _ in range(3000):
        book.take(BACKGROUND)
        assert book.take((1, 0, 0)).tokens == (1, 0, 0)
        book.now += 3.0


@pytest.mark.parametrize("quota", range(1, 30))
def test_however_small_the_quota_each_grade_can_be_served(quota: int) -> None:
    for needed in (STOPS, ACTS, BACKGROUND):
        assert sum(Book((quota, 60.0)).take(needed).tokens) >= 1


def test_priorities_of_the_background_share_a_grade() -> None:
    assert [one.tier for one in Priority] == [
        Tier.STOP,
        Tier.COMMAND,
        Tier.BACKGROUND,
        Tier.BACKGROUND,
    ]


# What the API tells


def test_nobody_gets_anything_in_a_pause() -> None:
    book = Book((100, 60.0))
    grant = book.take(STOPS, paused_for=120.0)
    assert grant.tokens == (0, 0, 0)
    assert grant.waits == (120.0, 120.0, 120.0)
    book.now += 119.9
    assert book.take(STOPS).tokens == (0, 0, 0)
    book.now += 0.2
    assert book.take(STOPS).tokens == (100, 0, 0)


def test_a_pause_is_not_shortened_and_not_believed_for_ever() -> None:
    book = Book((100, 60.0))
    book.take(paused_for=90.0)
    assert book.take(paused_for=10.0).paused_until == NOON + 90
    assert book.take(paused_for=1e9).paused_until == NOON + 600


def test_what_others_spent_of_the_same_token_is_missing() -> None:
    book = Book((100, 60.0))
    book.take((10, 0, 0))
    limit = ReportedLimit(Rate(100, 60.0), left=30)
    assert sum(book.take(STOPS, limits=[limit]).tokens) == 30 - 7  # they are not quite even


def test_what_others_spent_is_forgotten_when_the_window_has_passed_and_a_quarter() -> None:
    book = Book((100, 60.0))
    book.take(limits=[ReportedLimit(Rate(100, 60.0), left=0)])
    book.now += 63
    waits = book.take(STOPS).waits
    assert waits[Tier.STOP] <= 63 / 4
    book.now += waits[Tier.STOP]
    assert sum(book.take(STOPS).tokens) == 100


@pytest.mark.parametrize("at_once", [1, 10, 1000], ids=["evenly", "in blocks", "all there is"])
def test_what_others_spend_evenly_is_left_to_them_whatever_we_want(at_once: int) -> None:
    rate = Rate(600, 300.0)
    book, api, used = Book((rate.requests, rate.seconds)), Api(rate), 0
    heard: list[ReportedLimit] = []
    for second in range(4 * 300):
        api.arrivals.append(book.now)  # another program's
        if second >= 300:
            needed = (0, at_once, 1) if used else (0, 0, 1)
            given = sum(book.take(needed, limits=heard).tokens)
            api.arrivals += [book.now] * given
            used += given
            heard = [ReportedLimit(rate, rate.requests - api.in_window(book.now))] if given else []
        book.now += 1
    assert api.most_in_a_window() <= rate.requests
    assert used > 0.7 * 900  # and of what they leave all is ours but the share of stops


def test_what_others_do_not_spend_any_more_is_ours_again() -> None:
    book = Book((100, 60.0))
    book.take(limits=[ReportedLimit(Rate(100, 60.0), left=20)])
    for _ in range(3 * 60):
        book.now += 1
        book.take(limits=[ReportedLimit(Rate(100, 60.0), left=100)])
    assert sum(book.take(STOPS).tokens) > 90


def test_an_answer_that_knows_of_less_than_we_spent_changes_nothing() -> None:
    book = Book((100, 60.0))
    book.take((50, 0, 0))
    assert book.take(limits=[ReportedLimit(Rate(100, 60.0), left=90)]).left == 50


def test_a_stricter_policy_becomes_a_window_that_knows_what_was_spent() -> None:
    book = Book((1000, 300.0))
    book.take((7, 0, 0))
    grant = book.take(STOPS, limits=[ReportedLimit(Rate(20, 10.0))])
    assert 20 - 7 - 1 <= sum(grant.tokens) <= 20


def test_a_policy_that_is_not_told_any_more_is_forgotten() -> None:
    book = Book((1000, 300.0))
    book.take(limits=[ReportedLimit(Rate(20, 10.0))])
    book.now += 601
    assert sum(book.take(STOPS).tokens) == 1000


def test_only_a_few_policies_are_kept() -> None:
    book = Book((1000, 300.0))
    book.take(limits=[ReportedLimit(Rate(n, 10.0)) for n in range(50, 500)])
    assert len(book.ledger.windows) <= 5


def test_another_configuration_takes_effect_at_once_and_knows_what_was_spent() -> None:
    book = Book((1000, 300.0))
    book.take((100, 0, 0))
    book.rates = (Rate(150, 300.0),)
    assert sum(book.take(STOPS).tokens) == 50
    book.rates = (Rate(2000, 300.0),)
    assert sum(book.take(STOPS).tokens) == 1850


# Clocks


def test_a_clock_that_goes_back_an_hour_stops_nobody_for_longer_than_a_window() -> None:
    book = Book((100, 60.0))
    book.take(STOPS)
    book.take(BACKGROUND, paused_for=60.0)
    book.now -= HOUR
    grant = book.take(STOPS)
    assert grant.tokens == (0, 0, 0)
    assert max(grant.waits) <= 600
    book.now += 600.1
    assert sum(book.take(STOPS).tokens) == 100


# All of it together


class Api:
    """Counts arrivals in one sliding window."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self.arrivals: list[float] = []

    def in_window(self, now: float) -> int:
        return sum(at > now - self._rate.seconds for at in self.arrivals)

    def most_in_a_window(self) -> int:
        times, most, first = sorted(self.arrivals), 0, 0
        for last, at in enumerate(times):
            while times[first] <= at - self._rate.seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


@settings(max_examples=300, deadline=None)
@given(
    rate=st.tuples(st.integers(1, 60), st.sampled_from([1.0, 3.3, 10.0, 60.0])),
    steps=st.lists(
        st.tuples(
            # Seconds until a replica asks; None: as long as it was told to wait.
            st.none() | st.floats(0.0, 20.0),
            st.sampled_from([STOPS, ACTS, BACKGROUND, (1, 1, 1), (0, 0, 0)]),
            st.integers(0, 20),  # ahead
            st.sampled_from([0.0, 0.5, 1.0]),  # how much of it is used
            st.sampled_from([0.0, 0.99, 1.0]),  # when, of the time there is
        ),
        max_size=40,
    ),
    seed=st.integers(0, 2**32),
)
def test_no_window_of_the_api_ever_holds_more_than_it_may(
    rate: tuple[int, float],
    steps: list[tuple[float | None, TierCounts, int, float, float]],
    seed: int,
) -> None:
    rng, book = random.Random(seed), Book(rate)
    api = Api(book.rates[0])
    unspent: list[Usage] = []
    late: list[tuple[float, float, int]] = []  # arrival, when leave was given, background
    wait = 0.0
    for pause, needed, ahead, share, lag in steps:
        until = book.now + (wait if pause is None else pause)
        for arrival, at, background in sorted(one for one in late if one[0] <= until):
            book.now = arrival  # those are told of when they end
            book.take(late=[Usage(at, 1, background)])
        late = [one for one in late if one[0] > until]
        book.now = until
        grant = book.take(needed, ahead=(0, ahead, ahead), unspent=unspent)
        unspent, wait = [], grant.waits[Tier.STOP]
        for tier in Tier:
            given, background = grant.tokens[tier], int(tier is Tier.BACKGROUND)
            used = round(given * share)
            for _ in range(used):
                at = grant.at + COUNTED_ON * lag
                if rng.random() < 0.2:
                    at = grant.at + COUNTED_ON + rng.uniform(0, min(rate[1], 10.0))
                    late.append((at, grant.at, background))
                api.arrivals.append(at)
            if back := given - used:
                unspent.append(Usage(grant.at, back, back * background))
    assert api.most_in_a_window() <= rate[0]
