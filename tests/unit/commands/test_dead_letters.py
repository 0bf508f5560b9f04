"""How a copy of a dead letter is handled."""

import pytest

from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.dead_letters import DeadLetterHandler

RETRY = Retry(delay_seconds=5.0, code="busy", reason="it is being executed")


class Handler:
    """A dead-letter handler over a command handler that settles all deliveries alike."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self.handled: list[Delivery] = []
        self.reasons: list[str] = []

    async def _handle(self, delivery: Delivery) -> Settlement:
        self.handled.append(delivery)
        return self._settlement

    async def settle(self, reason: str | None, *, unread_bytes: int = 0) -> Settlement:
        delivery = Delivery(body=b"{}", unread_bytes=unread_bytes, routing_key="x")
        if reason is not None:
            delivery = delivery.with_dead_reason(reason)
        handler = DeadLetterHandler(
            self._handle, max_command_bytes=1_000, on_dead_letter=self.reasons.append
        )
        return await handler.handle(delivery)


async def test_a_letter_that_a_worker_wrote_is_acknowledged_and_not_handled() -> None:
    handler = Handler(RETRY)
    assert await handler.settle(None) == Ack()
    assert (handler.handled, handler.reasons) == ([], [])


async def test_a_letter_that_a_worker_refused_unread_was_answered_before() -> None:
    handler = Handler(RETRY)
    assert await handler.settle("rejected", unread_bytes=1_001) == Ack()
    assert handler.handled == []


@pytest.mark.parametrize(("reason", "unread_bytes"), [("expired", 1_001), ("rejected", 0)])
async def test_another_letter_of_the_broker_is_answered(reason: str, unread_bytes: int) -> None:
    handler = Handler(Ack())
    await handler.settle(reason, unread_bytes=unread_bytes)
    assert len(handler.handled) == 1


@pytest.mark.parametrize("settlement", [Ack(), RETRY])
async def test_a_letter_of_the_broker_is_settled_and_counted_like_a_command(
    settlement: Settlement,
) -> None:
    handler = Handler(settlement)
    assert await handler.settle("expired") == settlement
    assert handler.reasons == ["expired"]


async def test_a_letter_that_is_no_command_does_not_become_a_second_letter() -> None:
    assert await Handler(Dead(code="not_json", reason="no JSON")).settle("expired") == Ack()
