"""Completes a command by committing its outcome, or releases it for a later attempt."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from recording_schemas import Command, CommandFailed, CommandRejected, Outcome
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.decision import CallState, Complete, RetryAfter
from worker.commands.final_outcome import outcome_of_lost
from worker.commands.park import Park
from worker.commands.parker import PARKED, CommandParker, reply_of, reply_of_start
from worker.domain import outcomes
from worker.domain.command_keys import is_start
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import Observation
from worker.domain.times import utc
from worker.observability.tracing import Tracing
from worker.store.cancelling import CancelledStart
from worker.store.claims import LostCommand
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store


class HandledCommand(NamedTuple):
    """The settlement of a delivery, with the fields of its log line."""

    settlement: Settlement
    log_fields: Mapping[str, object]


class CommandCompleter:
    """Commits the decisions about attempts.

    `owner` names this replica, `source` is the CloudEvents source of outcomes.
    """

    def __init__(
        self,
        store: Store,
        parker: CommandParker,
        *,
        owner: str,
        source: str,
        now: Callable[[], float],
        tracing: Tracing,
    ) -> None:
        self._store = store
        self._parker = parker
        self._owner = owner
        self._source = source
        self._now = now
        self._tracing = tracing

    async def complete(
        self,
        delivery: Delivery,
        command: Command,
        app: str | None,
        decision: Complete | RetryAfter | Park,
        *,
        called_at: float,
    ) -> HandledCommand:
        """Complete, release or park the command, as decided. Raises StoreUnavailable.

        `called_at` is the first moment at which it may have called, in epoch seconds.
        """
        if isinstance(decision, Park):
            return await self._park(delivery, command, app or "", decision)
        if isinstance(decision, RetryAfter):
            await self._release(delivery, command, decision)
            reason, may_be_executed = decision.reason, decision.call is CallState.MAYBE_EXECUTED
            return retry_later(
                decision.seconds,
                reason.code,
                reason.message,
                called_at=called_at if may_be_executed else None,
            )
        outcome = decision.outcome
        completes = self.complete_with(
            delivery, outcome, decision.observations, replay_ids=decision.replay_ids
        )
        if decision.cancelled:  # in the same transaction
            await asyncio.gather(*self._complete_cancelled(command, decision.cancelled), completes)
        else:
            await completes
        settlement: Settlement = Ack()
        if isinstance(outcome, CommandFailed) and outcome.last_error.code == outcomes.CRASHED:
            settlement = Dead(code=outcomes.CRASHED, reason=outcome.last_error.message)
        return HandledCommand(settlement, outcomes.log_fields(outcome))

    async def _park(
        self, delivery: Delivery, command: Command, app: str, decision: Park
    ) -> HandledCommand:
        """Park the command. If a stop has cancelled it meanwhile, it ends with its next attempt."""
        reason = decision.reason
        settlement = await self._parker.park(delivery, command, app, decision)
        if settlement is None:
            await self._release(delivery, command, RetryAfter(seconds=0.0, reason=reason))
            return retry_later(0.0, reason.code, reason.message)
        fields = {"outcome": PARKED, "code": reason.code, "reason": reason.message}
        return HandledCommand(settlement, fields)

    async def complete_with(
        self,
        delivery: Delivery,
        outcome: Outcome,
        observations: tuple[Observation, ...] = (),
        *,
        replay_ids: tuple[str, ...] = (),
    ) -> None:
        """Complete the command with this outcome. The caller settles the delivery."""
        with self._tracing.child_span("commit"):
            await self._complete_in_store(
                outcome, reply_of(delivery), observations, replay_ids=replay_ids
            )

    async def complete_lost(self, lost: LostCommand) -> None:
        """Complete a command whose message is lost, as if it had reached its maximum age."""
        await self._complete_in_store(outcome_of_lost(lost), lost.reply)

    def _complete_cancelled(
        self, command: Command, starts: Iterable[CancelledStart]
    ) -> Iterator[Coroutine[Any, Any, None]]:
        """Complete the starts that the command cancelled.

        Their outcomes must not wait, because their own deliveries may come back much later.
        """
        for start in starts:
            outcome = outcomes.cancelled(
                start.command_id, start.command_type, command.id, start.reply.metadata
            )
            yield self._complete_in_store(outcome, start.reply)

    async def _complete_in_store(
        self,
        outcome: Outcome,
        reply: Reply,
        observations: tuple[Observation, ...] = (),
        *,
        replay_ids: tuple[str, ...] = (),
    ) -> None:
        record = outcome_record(
            outcome,
            source=self._source,
            at=utc(self._now()),
            correlation_id=reply.correlation_id,
            trace=reply.trace,
        )
        await self._store.finish(
            FinishRequest(
                outcome=record,
                reply=reply,
                observations=observations,
                now=self._now(),
                command_type=outcome.command_type or "unknown",
                replay_ids=replay_ids,
                is_rejected=isinstance(outcome, CommandRejected),
            )
        )

    async def _release(self, delivery: Delivery, command: Command, decision: RetryAfter) -> None:
        if decision.observations:
            await self._store.apply(decision.observations)
        await self._store.release(
            ReleaseRequest(
                command_id=command.id,
                uncertain=decision.call is not CallState.NEVER_SENT,
                last_error=msgspec.json.encode(decision.reason).decode(),
                owner=self._owner,
                called_until=decision.called_until,
                acted_on=decision.acted_on,
                reply=reply_of_start(delivery, command) if is_start(command) else None,
            )
        )


def retry_later(
    seconds: float,
    code: str,
    reason: str,
    *,
    redelivery_count: int = 0,
    called_at: float | None = None,
) -> HandledCommand:
    """Deliver again after `seconds`.

    For a delivery that was not attempted, pass its redelivery count on. `called_at` is as in
    `Retry`.
    """
    retry = Retry(
        delay_seconds=seconds,
        code=code,
        reason=reason,
        redelivery_count=redelivery_count,
        called_at=called_at,
    )
    return HandledCommand(retry, {"outcome": None, "code": code, "reason": reason})
