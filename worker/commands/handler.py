"""The path of one command, from bytes to a settlement: decode, claim, act, commit.

Nothing is acknowledged before its effects are durable, and the settlement is the return value.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from structlog.contextvars import bound_contextvars

from recording_schemas import Command, Malformed, decode_command
from worker.aio import KeyedLocks
from worker.broker.messages import Ack, Dead, Delivery, Settlement
from worker.commands.completion import MOST_CRASHES, CommandCompleter, HandledCommand, reply_of
from worker.commands.instrumentation import CommandInstrumentation
from worker.commands.operations import execute
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.retry_policy import RetryPolicy, is_past
from worker.domain import outcomes
from worker.domain.command_keys import (
    is_start,
    slot_of,
    start_context_of,
    starts_of_meeting,
    turns_of,
)
from worker.domain.errors import (
    NotYet,
    OutcomeUnknown,
    Refused,
    StoreUnavailable,
    Unavailable,
)
from worker.domain.outcomes import utc
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Span, Tracing
from worker.realtimekit.apps import App, Apps
from worker.store.inbox import Claim, Claimed
from worker.store.store import Store

SHARE_OF_LEASE: Final = 0.8
"""An attempt is cut off well before another replica may take the command over."""

SUSPECT_RETURNS: Final = 2
"""A delivery that came back so often, its consumer lost, is executed with no other suspect."""

OUTAGE_PATIENCE: Final = 30.0


class CommandHandler:
    """Executes deliveries: `handle` is the handler of the broker's consumer.

    `committed` is called after each commit that may have put events into the outbox.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        limits: RetryPolicy,
        *,
        owner: str,
        source: str,
        now: Callable[[], float],
        committed: Callable[[], None],
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        queue: str = "recording.commands",
        storage_profiles: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        self._store = store
        self._apps = apps
        self._limits = limits
        self._owner = owner
        self._now = now
        self._committed = committed
        self._tracing = tracing
        self._telling = CommandInstrumentation(metrics, tracing, queue=queue, now=now)
        self._storage_profiles = storage_profiles or {}
        self._endings = CommandCompleter(
            store,
            limits,
            owner=owner,
            source=source,
            now=now,
            committed=committed,
            tracing=tracing,
        )
        self._locks = KeyedLocks()

    async def handle(self, delivery: Delivery) -> Settlement:
        """Execute the command of a delivery, once, whatever happens on the way."""
        with self._telling.start_span(delivery) as span:
            if span.headers != delivery.trace:
                delivery = delivery.with_trace(span.headers)
            return await self._process(delivery, span)

    async def _process(self, delivery: Delivery, span: Span) -> Settlement:
        started = time.perf_counter()
        try:
            command = self._decode(delivery)
        except Malformed as malformed:
            command_id, command_type = malformed.command_id, malformed.command_type
            path = self._refuse(delivery, malformed)
        else:
            command_id, command_type = command.id, command.command_type
            path = self._execute(delivery, command)
        self._telling.received(delivery, command_type)
        try:
            with bound_contextvars(command_id=command_id):  # whoever logs on the way
                handled = await path
        except StoreUnavailable as error:
            handled = self._endings.retry_soon(
                "store_unavailable", str(error), delivery.redelivery_count
            )
        self._telling.completed(
            delivery,
            handled,
            span,
            command_id=command_id,
            command_type=command_type,
            seconds=time.perf_counter() - started,
        )
        return handled.settlement

    # 1. decode

    def _decode(self, delivery: Delivery) -> Command:
        return decode_command(
            delivery.body,
            content_type=delivery.content_type,
            message_id=delivery.message_id,
            max_bytes=self._limits.max_command_bytes,
        )

    async def _refuse(self, delivery: Delivery, malformed: Malformed) -> HandledCommand:
        """Not a command: a dead letter, and an outcome when it can be told of what."""
        dead = Dead(code=malformed.code, reason=malformed.message)
        command_id = malformed.command_id
        if command_id is None:
            return HandledCommand(dead, {"outcome": None, "code": malformed.code})
        outcome = outcomes.rejected_unread(command_id, malformed)
        async with self._locks.hold(f"command/{command_id}"):
            claimed = await self._claim(command_id, malformed.command_type, delivery)
            if claimed.verdict == "busy":
                return self._endings.retry_soon(
                    "busy", "a command of this id is being executed", delivery.redelivery_count
                )
            if claimed.verdict == "done":
                self._committed()
                return HandledCommand(dead, {"outcome": "repeated", "code": malformed.code})
            await self._endings.finish(delivery, outcome)
        return HandledCommand(dead, outcomes.facts(outcome))

    # 2. claim

    async def _execute(self, delivery: Delivery, command: Command) -> HandledCommand:
        app = self._apps.find(command.app)
        turns = turns_of(command, app.name if app else None)
        if delivery.redelivery_count >= SUSPECT_RETURNS:
            turns = ("suspects", *turns)
        async with self._locks.hold(*turns):
            # Before the claim: to wait for the API uses up no attempt.
            if app and not (self._is_over(delivery, command) or await self._may_ask(app)):
                return self._put_off(delivery, command, app)
            claimed = await self._claim(command.id, command.command_type, delivery, command, app)
            if claimed.verdict == "busy":
                reason = "it is being executed, or another start of its meeting"
                return self._endings.retry_soon("busy", reason, delivery.redelivery_count)
            if claimed.verdict == "done":
                self._committed()
                return HandledCommand(Ack(), {"outcome": "repeated"})
            return await self._attempt(delivery, command, claimed, app)

    async def _may_ask(self, app: App) -> bool:
        """Whether the app's API may be asked, perhaps after waiting for it.

        Nothing waits here for one app as long as others can be served: it would keep theirs out.
        """
        patience = OUTAGE_PATIENCE / len(self._apps) if self._apps.all_circuits_open() else 0.0
        return await app.breaker.acquire_probe(patience)

    def _put_off(self, delivery: Delivery, command: Command, app: App) -> HandledCommand:
        """Not attempted: it comes again after about as long as the outage has lasted by now."""
        away = f"the API of app {app.name} is away"
        asked = 0.0 if self._apps.all_circuits_open() else app.breaker.open_for()
        delay = self._limits.wait(command, delivery.first_seen, self._now(), asked=asked)
        return self._endings.retry_after(delay, "api_outage", away, delivery.redelivery_count)

    async def _claim(
        self,
        command_id: str,
        command_type: str,
        delivery: Delivery,
        command: Command | None = None,
        app: App | None = None,
    ) -> Claimed:
        now = self._now()
        with self._tracing.child_span("claim"):
            return await self._store.claim(
                Claim(
                    command_id=command_id,
                    command_type=command_type,
                    owner=self._owner,
                    now=now,
                    lease_seconds=self._limits.lease,
                    settle_seconds=self._limits.settle,
                    abandoned_before=now - self._limits.max_age - self._limits.lease,
                    app=app.name if app else None,
                    slot=slot_of(command, app.name) if app else None,
                    first_seen=delivery.first_seen,
                    alone=delivery.redelivery_count >= SUSPECT_RETURNS,
                    only_to_end=command is not None and self._is_over(delivery, command),
                    start_id=getattr(command, "start_id", None),
                    meeting_id=getattr(command, "meeting_id", None),
                    recording_id=getattr(command, "recording_id", None),
                    rivals=starts_of_meeting(command, app.name) if app else (),
                    reply=reply_of(delivery),
                )
            )

    def _is_over(self, delivery: Delivery, command: Command) -> bool:
        """Whether time alone ends the command: it will not be called any more."""
        now = self._now()
        seen = delivery.first_seen
        return is_past(command, now) or (seen is not None and now - seen >= self._limits.max_age)

    # 3. act

    async def _attempt(
        self, delivery: Delivery, command: Command, claimed: Claimed, app: App | None
    ) -> HandledCommand:
        late = self._endings.over(command, claimed)
        if late is not None and (claimed.called_at is None or claimed.crashes > MOST_CRASHES):
            return await self._endings.complete(delivery, late)
        try:
            async with asyncio.timeout(self._limits.lease * SHARE_OF_LEASE):
                done = await self._act(delivery, command, claimed, app, may_call=late is None)
        except Refused as error:
            return await self._endings.complete(delivery, outcomes.rejected(command, error))
        except NotYet as error:
            return await self._endings.wait_until_ready(delivery, command, claimed, error)
        except (Unavailable, OutcomeUnknown, TimeoutError) as error:
            failure = _cut_off(command) if isinstance(error, TimeoutError) else error
            only_looked = late is not None
            return await self._endings.try_later(delivery, command, claimed, failure, only_looked)
        return await self._endings.complete(
            delivery, outcomes.succeeded(command, done.recording_ids), done.observations
        )

    async def _act(
        self,
        delivery: Delivery,
        command: Command,
        claimed: Claimed,
        app: App | None,
        *,
        may_call: bool,
    ) -> OperationResult:
        if app is None:
            raise self._apps.unknown_app(command.app)
        for one in claimed.known:
            if one.app != app.name:
                raise outcomes.of_another_app(one.recording_id, one.app, app.name)
        attempt = OperationContext(
            api=app.api,
            app=app.name,
            now=self._moment,
            start_context=start_context_of(
                command, correlation_id=delivery.correlation_id, trace=delivery.trace
            ),
            called_at=None if claimed.called_at is None else utc(claimed.called_at),
            may_call=may_call and claimed.may_call,
            known=claimed.known,
            start_state=claimed.start_state,
            starts_pending=claimed.starts_pending,
            storage_profiles=self._storage_profiles,
        )
        return await execute(command, attempt)

    def _moment(self) -> datetime:
        return utc(self._now())


def _cut_off(command: Command) -> Unavailable | OutcomeUnknown:
    """What an attempt that took too long had asked may still be executed."""
    kind = OutcomeUnknown if is_start(command) else Unavailable
    return kind("timeout", "the attempt took too long and was cut off")
