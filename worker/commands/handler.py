"""Executes one command, from a delivery's bytes to its settlement. Read it from top to bottom.

1. decode   bytes → command (`decoding`), or a dead letter
2. claim    one replica executes a command id, and a meeting has one start at a time
3. run      call the API (`attempt_runner`, `operations`)
4. decide   what a failure means (`decision`)
5. complete commit the outcome, or release the command for a later attempt (`completion`)

Nothing is acknowledged before its effects are durable: the settlement is the return value.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

from structlog.contextvars import bound_contextvars

from recording_schemas import Command, Malformed
from worker.aio import KeyedLocks
from worker.broker.messages import Dead, Delivery, Settlement
from worker.commands.attempt_lease import AttemptLease
from worker.commands.attempt_runner import Attempt, AttemptRunner
from worker.commands.claim_request import claim_request
from worker.commands.completion import CommandCompleter, HandledCommand, retry_later
from worker.commands.crash_suspects import lock_names
from worker.commands.decision import AttemptMode, attempt_mode, decide
from worker.commands.decoding import decode_delivery
from worker.commands.final_outcome import AttemptEnd
from worker.commands.instrumentation import CommandInstrumentation
from worker.commands.operations.context import Progress
from worker.commands.parker import CommandParker
from worker.commands.people_finders import PeopleFinders
from worker.commands.refused_claims import RefusedClaims
from worker.commands.retry_policy import RetryPolicy, is_past_deadline
from worker.domain import outcomes
from worker.domain.command_digest import NO_COMMAND
from worker.domain.command_keys import CommandKeys, command_keys
from worker.domain.errors import NotYet, OutcomeUnknown, Refused, StoreUnavailable, Unavailable
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING, Tracing
from worker.realtimekit.apps import App, Apps
from worker.store.claims import ClaimResult
from worker.store.store import Store

OPEN_CIRCUIT_WAIT_SECONDS: Final = 30.0
TO_EXECUTE: Final = frozenset({"new", "again"})
"""The verdicts of a claim with which this delivery executes the command."""


class CommandHandler:
    """Executes deliveries: `handle` is given to the broker's consumer.

    `owner` names this replica, `source` is the CloudEvents source of outcomes.
    `queue` is for metrics and spans.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        policy: RetryPolicy,
        *,
        owner: str,
        source: str,
        now: Callable[[], float],
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        queue: str = "recording.commands",
        max_command_bytes: int = 1_048_576,
        storage_profiles: Mapping[str, Mapping[str, object]] | None = None,
        archives: bool = False,
        check_user_ids: bool = True,
    ) -> None:
        self._store = store
        self._apps = apps
        self._policy = policy
        self._owner = owner
        self._now = now
        self._tracing = tracing
        self._instrumentation = CommandInstrumentation(metrics, tracing, queue=queue, now=now)
        self._max_command_bytes = max_command_bytes
        self._runner = AttemptRunner(
            store,
            apps,
            policy,
            now=now,
            people=PeopleFinders(store, apps, owner=owner, now=now, check_user_ids=check_user_ids),
            storage_profiles=storage_profiles or {},
            archives=archives,
        )
        self._parker = CommandParker(store, policy, owner=owner, now=now)
        self._completer = CommandCompleter(
            store,
            self._parker,
            owner=owner,
            source=source,
            now=now,
            tracing=tracing,
        )
        self._refused_claims = RefusedClaims(self._parker, self._completer, policy, now=now)
        self._locks = KeyedLocks()

    async def handle(self, delivery: Delivery) -> Settlement:
        """Execute the command of a delivery once, even if errors occur. Never raises."""
        with self._instrumentation.attempt(delivery) as attempt:
            try:
                command = decode_delivery(delivery, max_bytes=self._max_command_bytes)
            except Malformed as malformed:
                attempt.identify(malformed.command_id, malformed.command_type)
                stages = self._reject_malformed(attempt.delivery, malformed)
            else:
                attempt.identify(command.id, command.command_type)
                stages = self._execute(attempt.delivery, command)
            try:
                with bound_contextvars(command_id=attempt.command_id):
                    handled = await stages
            except StoreUnavailable as error:
                handled = self._retry_without_store(error, delivery)
            attempt.complete(handled)
            return handled.settlement

    async def _reject_malformed(self, delivery: Delivery, malformed: Malformed) -> HandledCommand:
        """Dead-letter the delivery, and publish an outcome if the command's id could be read."""
        dead = Dead(code=malformed.code, reason=malformed.message)
        command_id = malformed.command_id
        if command_id is None:
            return HandledCommand(dead, {"outcome": None, "code": malformed.code})
        keys = CommandKeys(
            command_id=command_id, command_type=malformed.command_type, digest=NO_COMMAND
        )
        arrived_at = time.monotonic()
        async with self._locks.hold(*keys.locks):
            claim = await self._claim(delivery, keys)
            if await self._is_free_now(claim, arrived_at):
                claim = await self._claim(delivery, keys)
            if claim.verdict not in TO_EXECUTE:
                return await self._refused_claims.settle_malformed(delivery, claim, dead)
            outcome = outcomes.rejected_unread(command_id, malformed)
            await self._completer.complete_with(delivery, outcome)
        return HandledCommand(dead, outcomes.log_fields(outcome))

    # 2. claim

    async def _execute(self, delivery: Delivery, command: Command) -> HandledCommand:
        arrived_at = time.monotonic()
        app = self._apps.find(command.app)
        keys = command_keys(command, app.name if app else None)
        async with self._locks.hold(*lock_names(delivery, keys)), AsyncExitStack() as at_end:
            # Before the claim, because waiting for the API must not use up an attempt.
            if app and keys.uses_api and not self._is_over(delivery, command):
                if not await self._may_call(app, urgent=keys.cancels_starts):
                    return await self._postpone(delivery, command, app, keys)
                if app.breaker.is_open:  # else it has no probe, and another command may have one
                    at_end.callback(app.breaker.return_probe, urgent=keys.cancels_starts)
            lease = self._new_lease()
            # The deadline may have passed during the wait, so check again.
            is_over = self._is_over(delivery, command)
            claim = await self._claim(delivery, keys, finish_only=is_over)
            if await self._is_free_now(claim, arrived_at):
                lease = self._new_lease()
                claim = await self._claim(delivery, keys, finish_only=is_over)
            if claim.verdict not in TO_EXECUTE:
                return await self._refused_claims.settle(delivery, command, claim)
            return await self._attempt(
                Attempt(
                    delivery=delivery,
                    command=command,
                    claim=claim,
                    app=app,
                    lease=lease,
                    arrived_at=arrived_at,
                )
            )

    async def _is_free_now(self, claim: ClaimResult, arrived_at: float) -> bool:
        """Whether the command was busy at a replica that has ended. Waits some seconds for that.

        Without the wait, the command would go through the slower retry queues.
        """
        if claim.leased_by is None:
            return False
        waited = time.monotonic() - arrived_at
        return await self._store.replicas.has_ended(claim.leased_by, waited=waited)

    def _new_lease(self) -> AttemptLease:
        return AttemptLease(
            self._store, owner=self._owner, now=self._now, lease_seconds=self._policy.lease
        )

    async def _may_call(self, app: App, *, urgent: bool) -> bool:
        """Whether the app's circuit allows a call. Waits for it only if all circuits are open.

        Stops are urgent. They may probe the API while starts fail.

        While any app can be served, no command waits here. A waiting command would occupy the
        prefetch that other apps need.
        """
        all_open = self._apps.all_circuits_open()
        wait = OPEN_CIRCUIT_WAIT_SECONDS / len(self._apps) if all_open else 0.0
        return await app.breaker.acquire_probe(wait, urgent=urgent)

    async def _postpone(
        self, delivery: Delivery, command: Command, app: App, keys: CommandKeys
    ) -> HandledCommand:
        """Deliver again without an attempt, after about as long as the API has been unavailable.

        The first time, this reserves the command id for its body in the store.
        """
        if delivery.first_seen is None:
            claim = await self._claim(delivery, keys, reserve_only=True)
            if claim.verdict != "busy":
                return await self._refused_claims.settle(delivery, command, claim)
        reason = f"the API of app {app.name} is unavailable"
        requested_pause = 0.0 if self._apps.all_circuits_open() else app.breaker.open_for()
        delay = self._policy.postpone(
            command, delivery.first_seen, self._now(), requested_pause=requested_pause
        )
        return retry_later(
            delay, "api_circuit_open", reason, redelivery_count=delivery.redelivery_count
        )

    def _retry_without_store(
        self, error: StoreUnavailable, delivery: Delivery, called_at: float | None = None
    ) -> HandledCommand:
        return retry_later(
            self._policy.shortest_delay,
            "store_unavailable",
            str(error),
            redelivery_count=delivery.redelivery_count,
            called_at=called_at,
        )

    def _is_over(self, delivery: Delivery, command: Command) -> bool:
        """Whether time alone ends the command, so that it will not call the API any more."""
        now = self._now()
        return is_past_deadline(command, now) or self._policy.is_too_old(delivery.first_seen, now)

    async def _claim(
        self,
        delivery: Delivery,
        keys: CommandKeys,
        *,
        finish_only: bool = False,
        reserve_only: bool = False,
    ) -> ClaimResult:
        request = claim_request(
            delivery,
            keys,
            self._policy,
            owner=self._owner,
            now=self._now(),
            finish_only=finish_only,
            reserve_only=reserve_only,
        )
        with self._tracing.child_span("claim"):
            return await self._store.claim(request)

    # 3. run, 4. decide, 5. complete

    async def _attempt(self, attempt: Attempt) -> HandledCommand:
        progress = Progress()
        called_at = attempt.claim.called_at or self._now()
        try:
            return await self._run_and_complete(attempt, progress, called_at)
        except StoreUnavailable as error:
            if not progress.may_have_called:
                raise
            # A failover may lose the claim, too. Then only the message knows of the call.
            return self._retry_without_store(error, attempt.delivery, called_at)

    async def _run_and_complete(
        self, attempt: Attempt, progress: Progress, called_at: float
    ) -> HandledCommand:
        mode = attempt_mode(attempt.command, attempt.claim, self._now(), self._policy)
        attempt_end: AttemptEnd | None = None
        if mode is not AttemptMode.NONE:
            try:
                attempt_end = await self._runner.run(attempt, mode, progress)
            except (Refused, NotYet, Unavailable, OutcomeUnknown) as error:
                # Without this, the traceback would refer to this frame, and the frame to the error.
                attempt_end = error.with_traceback(None)
        decision = decide(
            attempt.command,
            attempt.claim,
            mode,
            attempt_end,
            self._now(),
            self._policy,
            done_before_failure=progress.result(),
            dead_reason=attempt.delivery.dead_reason,
        )
        app = attempt.app.name if attempt.app else None
        return await self._completer.complete(
            attempt.delivery, attempt.command, app, decision, called_at=called_at
        )
