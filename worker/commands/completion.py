"""How an attempt at a command ends: with its outcome, or given back to be tried again."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from recording_schemas import Command, CommandFailed, ErrorInfo, Outcome
from worker.broker.messages import Ack, Dead, Delivery, Retry, Settlement
from worker.commands.retry_policy import RetryPolicy
from worker.domain import outcomes
from worker.domain.errors import NotYet, OutcomeUnknown, OverBudget, Unavailable
from worker.domain.event_envelopes import outcome_record
from worker.domain.outcomes import utc
from worker.domain.recording import Observation
from worker.observability.tracing import NO_TRACING, Tracing
from worker.store.finishing import Finish
from worker.store.inbox import Claimed, Release
from worker.store.outbox import Reply
from worker.store.store import Store

MOST_CRASHES: Final = 5
"""So many attempts in a row, made alone, ended with the process: it is the command's fault."""


class HandledCommand(NamedTuple):
    """How a delivery is settled, and what the log says of it."""

    settlement: Settlement
    facts: Mapping[str, object]


class CommandCompleter:
    """Ends attempts. `committed` is called after each commit that may have left events to publish;
    `owner` is this replica, `source` that of the events.
    """

    def __init__(
        self,
        store: Store,
        limits: RetryPolicy,
        *,
        owner: str,
        source: str,
        now: Callable[[], float],
        committed: Callable[[], None],
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._store = store
        self._limits = limits
        self._owner = owner
        self._source = source
        self._now = now
        self._committed = committed
        self._tracing = tracing

    def over(self, command: Command, claimed: Claimed) -> Outcome | None:
        """The outcome that its crashes or its age give the command by now, if any."""
        if claimed.crashes >= MOST_CRASHES:
            return outcomes.crashed(command, claimed.attempts - 1, claimed.crashes)
        return self._limits.too_late(command, claimed, self._now())

    async def wait_until_ready(
        self, delivery: Delivery, command: Command, claimed: Claimed, error: NotYet
    ) -> HandledCommand:
        """Too early. It waits until its deadline, else as long as a stop may wait."""
        info = ErrorInfo(code=error.code, message=error.message)
        waited = self._now() - claimed.first_seen_at
        if command.deadline is None and waited >= self._limits.stop_wait:
            return await self.complete(delivery, outcomes.failed(command, claimed.attempts, info))
        await self._release(command, info, uncertain=False)
        return self.retry_soon(info.code, info.message)

    async def try_later(
        self,
        delivery: Delivery,
        command: Command,
        claimed: Claimed,
        error: Unavailable | OutcomeUnknown,
        only_looked: bool,
    ) -> HandledCommand:
        """The API could not do it, or did not tell. `only_looked`: it was not asked to act."""
        unknown = isinstance(error, OutcomeUnknown)
        info = ErrorInfo(code=error.code, message=error.message)
        late = self.over(command, claimed)
        if claimed.crashes >= MOST_CRASHES and late is not None:
            return await self.complete(delivery, late)
        if isinstance(late, CommandFailed):
            return await self.complete(delivery, outcomes.failed(command, claimed.attempts, info))
        # A deadline ends a start only when it is settled that no call of it was executed: none was
        # ever made, or the look that found nothing came late enough.
        never_called = claimed.called_at is None and not unknown
        settled = (unknown and claimed.may_call) if only_looked else never_called
        if late is not None and settled:
            return await self.complete(delivery, late)
        may_have_called = unknown and claimed.may_call and not only_looked
        await self._release(
            command,
            info,
            uncertain=unknown or claimed.called_at is not None,
            called_until=self._now() if may_have_called else None,
        )
        if isinstance(error, OutcomeUnknown):
            return self.retry_soon(info.code, info.message)
        return self.retry_after(self._delay(command, claimed, error), info.code, info.message)

    def _delay(self, command: Command, claimed: Claimed, error: Unavailable) -> float:
        now = self._now()
        if isinstance(error, OverBudget):  # nothing was tried: it need not wait longer each time
            asked = error.retry_after or 0.0
            return self._limits.wait(command, claimed.first_seen_at, now, asked=asked)
        return self._limits.delay(command, claimed, now, asked=error.retry_after)

    def retry_soon(self, code: str, reason: str, returned: int = 0) -> HandledCommand:
        """Tried again after the shortest step.

        `returned` is that of a delivery which was not attempted: it is as suspect as before.
        """
        return self.retry_after(min(self._limits.retry_delays), code, reason, returned)

    def retry_after(
        self, delay: float, code: str, reason: str, returned: int = 0
    ) -> HandledCommand:
        """Tried again after so many seconds."""
        retry = Retry(delay_seconds=delay, code=code, reason=reason, redelivery_count=returned)
        return HandledCommand(retry, {"outcome": None, "code": code, "reason": reason})

    async def complete(
        self, delivery: Delivery, outcome: Outcome, seen: tuple[Observation, ...] = ()
    ) -> HandledCommand:
        """This is its outcome; `seen` is what the API told."""
        await self.finish(delivery, outcome, seen)
        if isinstance(outcome, CommandFailed) and outcome.last_error.code == outcomes.CRASHED:
            dead = Dead(code=outcomes.CRASHED, reason=outcome.last_error.message)
            return HandledCommand(dead, outcomes.facts(outcome))
        return HandledCommand(Ack(), outcomes.facts(outcome))

    async def finish(
        self, delivery: Delivery, outcome: Outcome, seen: tuple[Observation, ...] = ()
    ) -> None:
        """Commit that."""
        reply = reply_of(delivery)
        record = outcome_record(
            outcome,
            source=self._source,
            at=utc(self._now()),
            correlation_id=reply.correlation_id,
            trace=reply.trace,
        )
        with self._tracing.child_span("commit"):
            await self._store.finish(
                Finish(outcome=record, reply=reply, seen=seen, now=self._now())
            )
        self._committed()

    async def _release(
        self,
        command: Command,
        error: ErrorInfo,
        *,
        uncertain: bool,
        called_until: float | None = None,
    ) -> None:
        last_error = msgspec.json.encode(error).decode()
        await self._store.release(
            Release(
                command_id=command.id,
                uncertain=uncertain,
                last_error=last_error,
                owner=self._owner,
                called_until=called_until,
            )
        )


def reply_of(delivery: Delivery) -> Reply:
    """Where this sending wants the outcome."""
    return Reply(
        reply_to=delivery.reply_to or None,
        correlation_id=delivery.correlation_id,
        trace=delivery.trace,
    )
