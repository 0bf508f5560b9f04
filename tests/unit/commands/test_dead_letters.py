"""What becomes of a copy of a dead letter, and which outcome a dead command has."""

import pytest

from recording_schemas import CommandExpired, CommandFailed, ErrorInfo, StartTrackRecording
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.dead_letters import DeadLetterHandler
from worker.commands.decision import Complete, RetryAfter, decide_dead_letter
from worker.domain import outcomes
from worker.domain.errors import Refused

RETRY = Retry(delay_seconds=5.0, code="busy", reason="it is being executed")
START = StartTrackRecording(id="start", meeting_id="m")
EXPIRED = Complete(outcomes.expired(START, 2))


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


async def test_a_letter_of_a_worker_is_acknowledged_without_a_look() -> None:
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


def test_a_command_that_expired_in_the_queue_has_expired() -> None:
    decided = decide_dead_letter(START, EXPIRED, "expired")
    assert decided == EXPIRED
    assert isinstance(EXPIRED.outcome, CommandExpired)


@pytest.mark.parametrize("reason", ["maxlen", "rejected", "delivery_limit", "unknown"])
def test_a_command_that_died_otherwise_has_failed(reason: str) -> None:
    decided = decide_dead_letter(START, EXPIRED, reason)
    assert isinstance(decided, Complete)
    assert isinstance(decided.outcome, CommandFailed)
    assert (decided.outcome.attempts, decided.outcome.last_error.code) == (2, "dead_lettered")


@pytest.mark.parametrize(
    "decided",
    [
        Complete(outcomes.succeeded(START, ("r1",))),
        Complete(outcomes.rejected(START, Refused("not_found", "it is gone"))),
        RetryAfter(seconds=5.0, reason=ErrorInfo(code="timeout", message="no answer")),
    ],
)
def test_another_end_of_a_dead_command_counts(decided: Complete | RetryAfter) -> None:
    assert decide_dead_letter(START, decided, "rejected") == decided
