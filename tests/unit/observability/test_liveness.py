"""A loop that stands still is noticed, and one that waits for its turn is not."""

from worker.observability.liveness import Watchdog


class World:
    def __init__(self) -> None:
        self.at = 1000.0
        self.leading = False
        self.pulses = Watchdog(seconds=60, ticks=lambda: self.at)
        self.asked = self.pulses.watched("relay", lambda: self.leading)
        self.why = self.pulses.checks()["relay"]


def test_a_loop_that_has_not_turned_for_too_long_is_stuck() -> None:
    world = World()
    world.at += 60
    assert world.why() is None
    world.at += 1
    assert world.why() == "no turn for 61 s"


def test_a_turn_is_a_sign_of_life_also_of_a_replica_that_does_not_lead() -> None:
    world = World()
    world.at += 1000
    assert world.asked() is False
    assert world.why() is None


def test_whoever_asks_is_told_whether_this_replica_leads() -> None:
    world = World()
    world.leading = True
    assert world.asked() is True


def test_one_loops_turns_do_not_hide_that_another_is_stuck() -> None:
    world = World()
    housekeeping = world.pulses.watched("housekeeping", lambda: True)
    world.at += 61
    housekeeping()
    told = {name: why() for name, why in world.pulses.checks().items()}
    assert told == {"relay": "no turn for 61 s", "housekeeping": None}
