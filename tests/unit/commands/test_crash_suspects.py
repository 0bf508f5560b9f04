"""The locks of deliveries that may have ended a worker's process."""

from worker.broker.messages import DELIVERY_COUNT_HEADER, Delivery
from worker.commands.crash_suspects import CRASH_SUSPECT_RETURNS, lock_names
from worker.domain.command_keys import CommandKeys


def locks_of(command_id: str, *, suspect: bool) -> set[str]:
    returns = CRASH_SUSPECT_RETURNS if suspect else CRASH_SUSPECT_RETURNS - 1
    delivery = Delivery(body=b"", routing_key="x", headers={DELIVERY_COUNT_HEADER: returns})
    keys = CommandKeys(command_id=command_id, command_type="sync_recording", digest=None)
    return set(lock_names(delivery, keys))


def test_only_crash_suspects_wait_for_each_other() -> None:
    assert locks_of("a", suspect=True) & locks_of("b", suspect=True)
    assert not locks_of("a", suspect=True) & locks_of("b", suspect=False)
    assert not locks_of("a", suspect=False) & locks_of("b", suspect=False)


def test_a_crash_suspect_also_waits_for_what_other_deliveries_of_its_command_wait_for() -> None:
    assert locks_of("a", suspect=False) < locks_of("a", suspect=True)
