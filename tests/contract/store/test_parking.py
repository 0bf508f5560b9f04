"""Which commands are parked, and the pages in which they are read when due. On both engines."""

from tests.contract.store.test_clock_ahead import NOW
from tests.contract.store.test_parked_clock import park, park_request
from tests.contract.store.test_pruning import claim
from worker.store.due_commands import PAGE_BYTES
from worker.store.parking import KeptMessage, RepeatRequest
from worker.store.store import Store


async def test_a_page_of_due_commands_ends_at_its_bytes_but_has_at_least_one(
    store: Store,
) -> None:
    for number, share in enumerate((0.1, 0.4, 0.6, 1.1, 0.1)):
        message = KeptMessage(body=b" " * int(share * PAGE_BYTES), envelope="{}")
        await park(store, NOW, f"c{number}", due_in=number - 10.0, message=message)
    pages = []
    while due := await store.due_commands(NOW.timestamp()):
        pages.append([command.command_id for command in due])
        await store.remove_published([command.position for command in due])
    assert pages == [["c0", "c1"], ["c2"], ["c3"], ["c4"]]


async def test_the_command_that_has_been_due_for_longest_is_read_first(store: Store) -> None:
    for name, due_in in (("later", -1.0), ("first", -2.0)):
        await park(store, NOW, name, due_in=due_in)
    due = await store.due_commands(NOW.timestamp())
    assert [command.command_id for command in due] == ["first", "later"]


async def test_a_start_that_a_stop_cancelled_during_its_attempt_is_not_parked(store: Store) -> None:
    await store.claim(claim("c", app="default", slot="m/track"))
    await store.claim(claim("stop", app="default", start_id="c", cancels_starts=True))
    assert not await store.park(park_request(NOW))


async def test_a_replica_that_lost_a_command_does_not_park_it(store: Store) -> None:
    await store.claim(claim("c", slot="m/track", owner="other"))
    assert not await store.park(park_request(NOW, owner="me"))
    assert await store.park(park_request(NOW, owner="other"))


async def test_a_repeat_that_is_parked_while_its_command_goes_out_is_due_after_it(
    store: Store,
) -> None:
    await park(store, NOW, due_in=-1.0)
    (command,) = await store.due_commands(NOW.timestamp())
    repeat = KeptMessage(body=b"repeat", envelope="{}")
    assert await store.park_repeat(RepeatRequest(command_id="c", message=repeat))
    await store.remove_published([command.position])
    (due,) = await store.due_commands(0.0)
    assert due.body == b"repeat"
