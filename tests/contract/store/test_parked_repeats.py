"""Repeats of parked commands in the store. On both engines."""

import asyncio

from tests.contract.store.test_clock_ahead import NOW
from tests.contract.store.test_parked_clock import park
from worker.store.parking import MAX_REPEATS, KeptMessage, RepeatRequest
from worker.store.store import Store


async def test_repeats_of_one_command_leave_room_for_those_of_another(store: Store) -> None:
    async def repeat(command_id: str) -> bool:
        message = KeptMessage(body=b"{}", envelope="{}")
        return await store.park_repeat(RepeatRequest(command_id=command_id, message=message))

    for command_id in ("first", "second"):
        await park(store, NOW, command_id)
    assert all(await asyncio.gather(*(repeat("first") for _ in range(MAX_REPEATS))))
    assert (await repeat("first"), await repeat("second")) == (False, True)
