"""The attempts, the lease and the call of a command, by its stored state."""

from typing import Any

import pytest

from worker.store.inbox_row import InboxRow

NOW = 1_000.0
LEASE = 60.0


def row(**fields: Any) -> InboxRow:
    return InboxRow("start", "start_recording", 900.0, **fields)


RUNNING: dict[str, Any] = {"state": "running", "lease_owner": "another", "lease_until": NOW + 1}


@pytest.mark.parametrize(
    ("fields", "is_leased", "to_another"),
    [
        ({}, True, True),
        ({"lease_owner": "me"}, True, False),
        ({"lease_until": NOW}, False, False),
        ({"lease_until": None}, False, False),
        ({"state": "waiting"}, False, False),
        ({"state": "done"}, False, False),
    ],
)
def test_a_command_is_leased_while_it_runs_until_its_lease_ends(
    fields: dict[str, Any], is_leased: bool, to_another: bool
) -> None:
    command = row(**RUNNING | fields)
    assert command.is_leased(NOW) is is_leased
    assert command.is_leased_to_another("me", NOW) is to_another


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"lease_owner": "me"}, False),  # a failed commit
        ({"alone": False}, False),
        ({"state": "waiting"}, False),
    ],
)
def test_a_crash_counts_for_a_command_that_ran_alone_in_another_process(
    fields: dict[str, Any], counts: bool
) -> None:
    assert row(**RUNNING | {"alone": True} | fields).ended_in_a_crash("me") is counts


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        (None, None),
        (NOW + LEASE, NOW + LEASE),
        (NOW + LEASE + 600, NOW + LEASE + 600),
        (NOW + LEASE + 601, NOW + LEASE),
    ],
)
def test_a_lease_of_a_clock_that_was_far_ahead_ends_in_time(
    until: float | None, ends: float | None
) -> None:
    leased = row(**RUNNING | {"lease_until": until}).with_possible_lease(NOW, LEASE)
    assert leased.lease_until == ends


@pytest.mark.parametrize(
    ("fields", "last"),
    [
        ({}, 0.0),
        ({"last_called_at": 950.0}, 950.0),
        (RUNNING, NOW),
        (RUNNING | {"lease_until": 970.0}, 970.0),
        (RUNNING | {"lease_until": 970.0, "last_called_at": 980.0}, 980.0),
        (RUNNING | {"lease_until": None}, NOW),
    ],
)
def test_an_attempt_whose_process_died_may_have_called_until_its_lease_ended(
    fields: dict[str, Any], last: float
) -> None:
    assert row(**fields).last_call(NOW) == last


@pytest.mark.parametrize(
    ("fields", "may_call"),
    [
        ({}, True),
        ({"called_at": 900.0, "last_called_at": NOW - 29.9}, False),
        ({"called_at": 900.0, "last_called_at": NOW - 30}, True),
        ({"last_called_at": NOW}, True),  # no call of it is in doubt
    ],
)
def test_a_start_calls_again_when_its_last_call_has_had_its_time(
    fields: dict[str, Any], may_call: bool
) -> None:
    assert row(**fields).may_call(NOW, 30.0) is may_call


@pytest.mark.parametrize(
    ("stored", "received", "is_other"),
    [("a", "a", False), ("a", "b", True), (None, "b", False), ("a", None, False)],
)
def test_a_body_is_another_one_only_if_both_digests_are_known(
    stored: str | None, received: str | None, is_other: bool
) -> None:
    assert row(digest=stored).is_of_other_body(received) is is_other


def test_the_age_of_a_command_counts_from_when_it_was_woken() -> None:
    assert row().age_from == 900.0
    assert row(waits_since=910.0, woken_at=950.0).age_from == 950.0
    assert row(waits_since=910.0).may_be_parked
    assert not row(waits_since=910.0, woken_at=950.0).may_be_parked
