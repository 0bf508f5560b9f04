"""A loop that is stuck is noticed. A loop of a replica that is not the leader is not stuck."""

from worker.observability.liveness import Watchdog


class WatchedRelay:
    """A watchdog of one loop, with a clock that stands still until a test advances it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.is_leader = False
        self.watchdog = Watchdog(stuck_after=60, monotonic=lambda: self.now)
        self.turn = self.watchdog.watch("relay", lambda: self.is_leader)
        self.check = self.watchdog.checks()["relay"]


def test_a_loop_without_a_turn_for_too_long_is_stuck() -> None:
    relay = WatchedRelay()
    relay.now += 60
    assert relay.check() is None
    relay.now += 1
    assert relay.check() == "no turn for 61 s"


def test_a_turn_is_a_sign_of_life_although_the_replica_is_not_the_leader() -> None:
    relay = WatchedRelay()
    relay.now += 1000
    assert relay.turn() is False
    assert relay.check() is None


def test_a_turn_returns_whether_the_replica_is_the_leader() -> None:
    relay = WatchedRelay()
    relay.is_leader = True
    assert relay.turn() is True


def test_turns_of_one_loop_do_not_hide_that_another_is_stuck() -> None:
    relay = WatchedRelay()
    pruner_turn = relay.watchdog.watch("pruner", lambda: True)
    relay.now += 61
    pruner_turn()
    reasons = {loop: check() for loop, check in relay.watchdog.checks().items()}
    assert reasons == {"relay": "no turn for 61 s", "pruner": None}
