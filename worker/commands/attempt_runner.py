"""Runs one attempt at a claimed command: builds the context of its operation, and executes it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from recording_schemas import Command
from worker.broker.messages import Delivery
from worker.commands.attempt_lease import TAKEN_OVER, AttemptLease
from worker.commands.decision import AttemptMode
from worker.commands.operations import execute
from worker.commands.operations.context import (
    OperationContext,
    OperationResult,
    Progress,
    SessionWait,
)
from worker.commands.people_finders import PeopleFinders
from worker.commands.retry_policy import RetryPolicy, is_past_deadline
from worker.domain import outcomes
from worker.domain.command_keys import start_context_of, waits_for_session
from worker.domain.errors import DeadlinePassed, LeaseLost
from worker.domain.recording import Observation
from worker.domain.times import utc
from worker.realtimekit.apps import App, Apps
from worker.store.action_intents import ActionIntent
from worker.store.claims import ClaimResult
from worker.store.store import Store


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed command, and the limits of this attempt at it.

    `app` is None if no such app is configured. `arrived_at` is when the delivery came, by the
    monotonic clock.
    """

    delivery: Delivery
    command: Command
    claim: ClaimResult
    app: App | None
    lease: AttemptLease
    arrived_at: float


class AttemptRunner:
    """Executes commands at the API of their app."""

    def __init__(
        self,
        store: Store,
        apps: Apps,
        policy: RetryPolicy,
        *,
        now: Callable[[], float],
        people: PeopleFinders,
        storage_profiles: Mapping[str, Mapping[str, object]],
        archives: bool,
    ) -> None:
        self._store = store
        self._apps = apps
        self._policy = policy
        self._now = now
        self._people = people
        self._storage_profiles = storage_profiles
        self._archives = archives

    async def run(self, attempt: Attempt, mode: AttemptMode, progress: Progress) -> OperationResult:
        """Execute the command at the API. Raises Refused, NotYet, Unavailable, OutcomeUnknown.

        `progress` has the recordings acted on, even if the operation fails.
        """
        app = attempt.app
        if app is None:
            raise self._apps.unknown_app(attempt.command.app)
        for recording in attempt.claim.known_recordings:
            if recording.app != app.name:
                raise outcomes.wrong_app_error(recording.recording_id, recording.app, app.name)
        context = self._context(attempt, app, mode, progress)
        return await execute(attempt.command, context, timeout=attempt.lease.remaining())

    def _context(
        self, attempt: Attempt, app: App, mode: AttemptMode, progress: Progress
    ) -> OperationContext:
        command, claim, delivery = attempt.command, attempt.claim, attempt.delivery
        called_at = claim.called_at
        start_context = start_context_of(
            command, correlation_id=delivery.correlation_id, trace=delivery.trace
        )
        if claim.people is not None:
            start_context = start_context.with_people(claim.people)
        return OperationContext(
            api=app.api,
            app=app.name,
            now=self._utc_now,
            start_context=start_context,
            called_at=None if called_at is None else utc(called_at),
            begins_by=None if called_at is None else utc(self._policy.last_execution(called_at)),
            may_call=mode is AttemptMode.CALL and claim.may_call,
            known=claim.known_recordings,
            check_deadline=partial(self._check_deadline, command),
            confirm_lease=partial(attempt.lease.confirm, command.id),
            keep_intent=partial(self._keep_intent, command.id, attempt.lease.owner),
            start_state=claim.start_state,
            people=self._people.finder(command, claim, app, attempt.arrived_at),
            starts_pending=claim.pending_starts,
            has_acted=bool(claim.acted_on or claim.cancelled_starts),
            session_wait=self._session_wait(command, claim),
            progress=progress,
            find_replayable=self._store.find_replayable,
            find_starting=self._store.find_starting,
            find_start_id=self._store.find_start_id,
            storage_profiles=self._storage_profiles,
            archives=self._archives,
        )

    async def _keep_intent(
        self,
        command_id: str,
        owner: str,
        recording_ids: Sequence[str],
        adopted: Sequence[Observation],
    ) -> None:
        intent = ActionIntent(command_id=command_id, owner=owner, recording_ids=recording_ids)
        if not await self._store.keep_intent(intent, adopted):
            raise LeaseLost("lease_lost", TAKEN_OVER)

    def _check_deadline(self, command: Command) -> None:
        if is_past_deadline(command, self._now()):
            raise DeadlinePassed

    def _session_wait(self, command: Command, claim: ClaimResult) -> SessionWait | None:
        if not waits_for_session(command):
            return None
        return SessionWait(
            has_waited=claim.waits_since is not None,
            is_over=self._policy.is_session_wait_over(claim.waits_since, self._now()),
        )

    def _utc_now(self) -> datetime:
        return utc(self._now())
