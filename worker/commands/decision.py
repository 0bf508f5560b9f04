"""What the end of an attempt means for its command. Pure: no clock, no I/O.

An attempt that fails leaves one question open: has the API executed a call of this command?
`CallState` answers it. `Limit` names the limit that the command has reached, if any. `decide` makes
a decision of both:

    end of the attempt  limit      call state             decision
    ──────────────────  ─────────  ─────────────────────  ──────────────────────────────────────
    OperationResult     any        any                    Complete: succeeded
    Refused             any        any                    Complete: rejected
    NotYet              any        any                    RetryAfter the shortest delay, until
                                                          the deadline, else for stop_wait
    Contradicted        any        any                    The same, but after half a minute a longer
                                                          delay
    StartUnknown        any        any                    RetryAfter a growing delay, as long; of a
                                                          stop, Park as long
    NoSession           NONE       any                    Park until the session begins, until the
                                                          deadline, else for session_wait
    NoSession           a limit    any                    Complete, as without an attempt
    NoSession           NONE       any                    Complete: failed, after session_wait
    NotYet              any        any                    Complete: failed, after stop_wait
    Unavailable         NONE       any                    RetryAfter a growing delay
    OverBudget          NONE       any                    RetryAfter what the budget asks for
    OutcomeUnknown      NONE       any                    RetryAfter the shortest delay
    no answer           DEADLINE   NEVER_SENT or SETTLED  Complete: expired
    no answer           DEADLINE   MAYBE_EXECUTED         RetryAfter, and look again
    no answer           CANCELLED  NEVER_SENT or SETTLED  Complete: rejected, `cancelled`
    no answer           CANCELLED  MAYBE_EXECUTED         RetryAfter, and look again
    no answer           AGE        NEVER_SENT or SETTLED  Complete: failed, with this error
    no answer           AGE        MAYBE_EXECUTED         Complete: failed, `start_unconfirmed`
    no answer           CRASHES    any                    Complete: failed, `crashed`
    None (no attempt)   DEADLINE   any                    Complete: expired
    None                CANCELLED  any                    Complete: rejected, `cancelled`
    None                AGE        any                    Complete: failed, with the last error
    None                CRASHES    any                    Complete: failed, `crashed`

`no answer` is Unavailable, OverBudget or OutcomeUnknown.

A deadline or a stop alone never ends a start that may have been executed, because its recording
would have no owner. When the start is too old as well, its limit is AGE. A `CANCELLED` start is one
that a stop cancelled.

A command that the broker dead-lettered counts as one whose deadline has passed. If the broker's
reason was not its time, the command ends as failed, `dead_lettered`, instead of expired.

After `MAX_CRASHES` crashes, one attempt may still look for the recording. Then the mode is NONE.

An attempt's actions count even if it fails. The outcome names the recordings that this attempt
acted on after those of earlier attempts. If there is no outcome yet, they are kept for the next
attempt.
"""

from enum import Enum, auto
from typing import Final

import msgspec

from recording_schemas import Command, ErrorInfo, Outcome, StopRecording
from worker.commands.final_outcome import (
    START_UNCONFIRMED,
    AttemptEnd,
    final_outcome,
    reason_of,
    unconfirmed_text,
)
from worker.commands.limits import MAX_CRASHES, Limit, limit_of
from worker.commands.operations.context import OperationResult
from worker.commands.park import Park, park_for_session, park_for_start
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import (
    Contradicted,
    NoSession,
    NothingFound,
    NotYet,
    OutcomeUnknown,
    OverBudget,
    StartUnknown,
    Unavailable,
)
from worker.domain.recording import Observation
from worker.store.cancelling import CancelledStart
from worker.store.claims import ClaimResult

NOTHING_DONE: Final = OperationResult()


class AttemptMode(Enum):
    """What an attempt may do at the API."""

    CALL = auto()
    LOOK_ONLY = auto()
    """The command has reached a limit. It may only search for the recording of an earlier call."""
    NONE = auto()
    """The command has reached a limit, and there is nothing to search for."""


class CallState(Enum):
    """What is known of the command's calls that change something at the API."""

    NEVER_SENT = auto()
    MAYBE_EXECUTED = auto()
    SETTLED = auto()
    """A search found no recording after the time in which one would appear: no call was executed.
    """


class Complete(msgspec.Struct, frozen=True):
    """The command ends with this outcome; `observations` are committed together with it.

    `cancelled` are the starts that the command cancelled before they were sent: they end, too.
    `replay_ids` are the recordings whose events are published again.
    """

    outcome: Outcome
    observations: tuple[Observation, ...]
    cancelled: tuple[CancelledStart, ...] = ()
    replay_ids: tuple[str, ...] = ()


class RetryAfter(msgspec.Struct, frozen=True, kw_only=True):
    """The command is attempted again after `seconds`, because of `reason`.

    `called_until` is the last moment (epoch seconds) at which this attempt may have called.
    `acted_on` are the recordings that all attempts so far acted on. `observations` are those of
    this attempt.
    """

    seconds: float
    reason: ErrorInfo
    call: CallState = CallState.NEVER_SENT
    called_until: float | None = None
    acted_on: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()


def attempt_mode(
    command: Command, claim: ClaimResult, now: float, policy: RetryPolicy
) -> AttemptMode:
    """What an attempt at the claimed command may do now."""
    if limit_of(command, claim, now, policy) is Limit.NONE:
        return AttemptMode.CALL
    if claim.called_at is None or claim.crashes > MAX_CRASHES:
        return AttemptMode.NONE
    return AttemptMode.LOOK_ONLY


def decide(
    command: Command,
    claim: ClaimResult,
    mode: AttemptMode,
    attempt_end: AttemptEnd | None,
    now: float,
    policy: RetryPolicy,
    *,
    done_before_failure: OperationResult = NOTHING_DONE,
    dead_reason: str | None = None,
) -> Complete | RetryAfter | Park:
    """The decision of the table above. `attempt_end` is None when the mode was NONE.

    `done_before_failure` is what the attempt did before it failed. `dead_reason` is why the broker
    dead-lettered the command, None if it did not.
    """
    limit = _limit(command, claim, mode, attempt_end, now, policy)
    if isinstance(attempt_end, NoSession) and limit is not Limit.NONE:
        attempt_end = None
    park = _park(command, claim, attempt_end, now, policy)
    if park is not None:
        return park
    done = attempt_end if isinstance(attempt_end, OperationResult) else done_before_failure
    acted_on = tuple(dict.fromkeys((*claim.acted_on, *done.recording_ids)))
    retry = _retry(command, claim, mode, attempt_end, limit, now, policy)
    if retry is not None:
        return msgspec.structs.replace(retry, acted_on=acted_on, observations=done.observations)
    if isinstance(attempt_end, Unavailable | OutcomeUnknown):
        attempt_end = _unconfirmed(claim, mode, attempt_end)
    outcome = final_outcome(command, claim, attempt_end, limit, acted_on, dead_reason)
    return Complete(outcome, done.observations, claim.cancelled_starts, done.replay_ids)


def _limit(
    command: Command,
    claim: ClaimResult,
    mode: AttemptMode,
    attempt_end: AttemptEnd | None,
    now: float,
    policy: RetryPolicy,
) -> Limit:
    """The limit that counts. Otherwise a start that is looked for again would never end."""
    limit = limit_of(command, claim, now, policy)
    is_open = (
        limit in {Limit.DEADLINE, Limit.CANCELLED}
        and isinstance(attempt_end, Unavailable | OutcomeUnknown)
        and call_state(claim, mode, attempt_end) is CallState.MAYBE_EXECUTED
    )
    return Limit.AGE if is_open and policy.is_too_old(claim.age_from, now) else limit


def _park(
    command: Command,
    claim: ClaimResult,
    attempt_end: AttemptEnd | None,
    now: float,
    policy: RetryPolicy,
) -> Park | None:
    """The wait outside the queue that this end of the attempt leads to, if any."""
    if isinstance(attempt_end, NoSession) and not policy.is_session_wait_over(
        claim.waits_since, now
    ):
        return park_for_session(command, claim, attempt_end, now, policy)
    is_stop = isinstance(command, StopRecording)
    if not (isinstance(attempt_end, StartUnknown) and is_stop):
        return None
    if policy.is_stop_wait_over(command, claim.first_seen_at, now):
        return None
    return park_for_start(command, claim, attempt_end, policy)


def _retry(
    command: Command,
    claim: ClaimResult,
    mode: AttemptMode,
    attempt_end: AttemptEnd | None,
    limit: Limit,
    now: float,
    policy: RetryPolicy,
) -> RetryAfter | None:
    """The retry that this end of the attempt leads to. None if it completes the command."""
    if isinstance(attempt_end, NotYet) and not isinstance(attempt_end, NoSession):
        if policy.is_stop_wait_over(command, claim.first_seen_at, now):
            return None
        seconds = _delay(command, claim, attempt_end, now, policy)
        return RetryAfter(seconds=seconds, reason=reason_of(attempt_end))
    if not isinstance(attempt_end, Unavailable | OutcomeUnknown):
        return None
    call = call_state(claim, mode, attempt_end)
    if limit in {Limit.AGE, Limit.CRASHES}:
        return None
    if limit in {Limit.DEADLINE, Limit.CANCELLED} and call is not CallState.MAYBE_EXECUTED:
        return None
    called_now = isinstance(attempt_end, OutcomeUnknown) and claim.may_call
    return RetryAfter(
        seconds=_delay(command, claim, attempt_end, now, policy),
        reason=reason_of(attempt_end),
        call=call,
        called_until=now if called_now else None,
    )


def _unconfirmed(
    claim: ClaimResult, mode: AttemptMode, failure: Unavailable | OutcomeUnknown
) -> Unavailable | OutcomeUnknown:
    """The failure with which a command ends. If the API may have executed its call, the code says
    so."""
    is_open = call_state(claim, mode, failure) is CallState.MAYBE_EXECUTED
    if not is_open or failure.code == START_UNCONFIRMED:
        return failure
    return OutcomeUnknown(START_UNCONFIRMED, unconfirmed_text(failure.message))


def call_state(
    claim: ClaimResult, mode: AttemptMode, failure: Unavailable | OutcomeUnknown
) -> CallState:
    """What is known of the command's calls after an attempt without an answer."""
    # A search that failed settles nothing, even if it failed as OutcomeUnknown.
    has_searched = isinstance(failure, NothingFound)
    if mode is AttemptMode.LOOK_ONLY and has_searched and claim.may_call:
        return CallState.SETTLED
    if claim.called_at is None and not isinstance(failure, OutcomeUnknown):
        return CallState.NEVER_SENT
    return CallState.MAYBE_EXECUTED


def _delay(
    command: Command,
    claim: ClaimResult,
    failure: NotYet | Unavailable | OutcomeUnknown,
    now: float,
    policy: RetryPolicy,
) -> float:
    if isinstance(failure, StartUnknown):
        return policy.wait_for_start(
            command, attempts=claim.attempts, first_seen=claim.first_seen_at, now=now
        )
    if isinstance(failure, Contradicted):
        return policy.recheck_contradiction(command, first_seen=claim.first_seen_at, now=now)
    if isinstance(failure, NotYet | OutcomeUnknown):
        return policy.shortest_delay
    if isinstance(failure, OverBudget):  # nothing was tried, so the wait does not grow
        requested_pause = failure.retry_after or 0.0
        return policy.postpone(command, claim.age_from, now, requested_pause=requested_pause)
    return policy.backoff(
        command,
        attempts=claim.attempts,
        first_seen=claim.age_from,
        now=now,
        requested_pause=failure.retry_after,
    )
