"""Every row of the table in `worker/commands/decision.py`."""

from datetime import datetime, timedelta

import msgspec
import pytest

from recording_schemas import (
    CommandExpired,
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    ErrorInfo,
    StartTrackRecording,
    StopRecording,
)
from worker.commands.decision import (
    AttemptMode,
    CallState,
    Complete,
    RetryAfter,
    attempt_mode,
    call_state,
    decide,
)
from worker.commands.final_outcome import AttemptEnd
from worker.commands.limits import MAX_CRASHES
from worker.commands.operations.context import OperationResult
from worker.commands.park import Park
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import (
    Contradicted,
    NoSession,
    NothingFound,
    NotYet,
    OutcomeUnknown,
    OverBudget,
    Refused,
    StartUnknown,
    Unavailable,
)
from worker.domain.times import utc
from worker.store.claims import ClaimResult

NOW = 1_000_000.0
POLICY = RetryPolicy(
    max_age=3_600, stop_wait=300, reconcile=30, lease=60, retry_delays=(5.0, 30.0, 120.0)
)
PAST = utc(NOW - 1)
FUTURE = utc(NOW + 3_000)
UNAVAILABLE = Unavailable("server_error", "it is down")
UNKNOWN = OutcomeUnknown("timeout", "no answer came")
NOTHING_FOUND = NothingFound()
RETRYABLE_FAILURES = [
    UNAVAILABLE,
    UNKNOWN,
    NOTHING_FOUND,
    OverBudget("over_budget", "no quota left"),
]


def start(deadline: datetime | None = None) -> StartTrackRecording:
    return StartTrackRecording(id="start", meeting_id="m", deadline=deadline)


def claim(*, age: float = 10.0, called: bool = False, **fields: object) -> ClaimResult:
    plain = ClaimResult(
        verdict="again",
        attempts=2,
        first_seen_at=NOW - age,
        age_from=NOW - age,
        called_at=NOW - age if called else None,
        may_call=True,
    )
    return msgspec.structs.replace(plain, **fields)


def decision(
    end: AttemptEnd | None,
    claimed: ClaimResult,
    deadline: datetime | None = None,
    mode: AttemptMode = AttemptMode.CALL,
) -> Complete | RetryAfter | Park:
    return decide(start(deadline), claimed, mode, end, NOW, POLICY)


def outcome_of(decided: Complete | RetryAfter | Park) -> object:
    assert isinstance(decided, Complete)
    return decided.outcome


@pytest.mark.parametrize("deadline", [None, PAST, FUTURE])
@pytest.mark.parametrize("called", [True, False])
@pytest.mark.parametrize("age", [10.0, 4_000.0])
def test_a_refusal_completes_the_command_at_any_time(
    deadline: datetime | None, called: bool, age: float
) -> None:
    decided = decision(Refused("not_found", "no"), claim(age=age, called=called), deadline)
    assert isinstance(outcome_of(decided), CommandRejected)


@pytest.mark.parametrize("deadline", [PAST, FUTURE])
def test_a_command_that_came_too_early_waits_until_its_deadline(deadline: datetime) -> None:
    decided = decision(NotYet("not_stoppable", "wait"), claim(age=3_000), deadline)
    assert decided == RetryAfter(
        seconds=5, reason=ErrorInfo(code="not_stoppable", message="wait"), call=CallState.NEVER_SENT
    )


@pytest.mark.parametrize("age", [10, 299])
@pytest.mark.parametrize("attempts", [1, 3, 9])
def test_a_command_that_came_too_early_waits_below_the_stop_wait(attempts: int, age: float) -> None:
    decided = decision(NotYet("not_stoppable", "wait"), claim(age=age, attempts=attempts))
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == 5


@pytest.mark.parametrize(
    ("age", "seconds"), [(0, 5), (29, 5), (30, 30), (150, 30), (270, 30), (271, 5), (299, 5)]
)
def test_a_recording_that_the_api_lists_but_does_not_find_is_acted_on_rarely_after_half_a_minute(
    age: float, seconds: float
) -> None:
    decided = decision(Contradicted("not_stoppable", "wait"), claim(age=age, attempts=9))
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == seconds


def test_a_command_that_came_too_early_fails_at_the_stop_wait() -> None:
    outcome = outcome_of(decision(NotYet("not_stoppable", "wait"), claim(age=300)))
    assert isinstance(outcome, CommandFailed)
    assert (outcome.last_error.code, outcome.attempts) == ("not_stoppable", 2)


@pytest.mark.parametrize(
    ("attempts", "age", "seconds"),
    [(1, 0, 5), (2, 5, 5), (3, 10, 30), (4, 40, 120), (9, 160, 120), (9, 200, 30), (9, 299, 5)],
)
def test_a_command_of_a_start_that_nobody_sent_waits_ever_longer_within_the_stop_wait(
    attempts: int, age: float, seconds: float
) -> None:
    decided = decision(StartUnknown("start-1"), claim(age=age, attempts=attempts))
    assert isinstance(decided, RetryAfter)
    assert (decided.seconds, decided.reason.code) == (seconds, "start_unknown")


@pytest.mark.parametrize(("seconds_left", "seconds"), [(3_000, 120), (60, 30), (4, 5), (-1, 5)])
def test_a_command_of_a_start_that_nobody_sent_waits_no_longer_than_its_deadline(
    seconds_left: float, seconds: float
) -> None:
    claimed = claim(age=3_000, attempts=9)
    decided = decision(StartUnknown("start-1"), claimed, utc(NOW + seconds_left))
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == seconds


def test_a_call_that_was_not_executed_is_tried_again_after_a_growing_delay() -> None:
    delays = [
        decided.seconds
        for attempts in (1, 2, 3, 9)
        if isinstance(decided := decision(UNAVAILABLE, claim(attempts=attempts)), RetryAfter)
    ]
    assert delays == [5, 30, 120, 120]


def test_an_api_that_asks_for_a_pause_gets_the_first_step_that_is_as_long() -> None:
    decided = decision(Unavailable("throttled", "slow down", retry_after=60), claim(attempts=1))
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == 120


@pytest.mark.parametrize("attempts", [1, 9])
def test_an_exhausted_budget_sets_the_delay_after_any_number_of_attempts(attempts: int) -> None:
    failure = OverBudget("over_budget", "no quota left", retry_after=31)
    decided = decision(failure, claim(attempts=attempts))
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == 30


def test_an_unknown_outcome_is_looked_into_soon() -> None:
    decided = decision(UNKNOWN, claim(attempts=9))
    assert decided == RetryAfter(
        seconds=5,
        reason=ErrorInfo(code="timeout", message="no answer came"),
        call=CallState.MAYBE_EXECUTED,
        called_until=NOW,
    )


def test_an_attempt_that_could_not_call_moves_no_last_call() -> None:
    decided = decision(UNKNOWN, claim(called=True, may_call=False))
    assert isinstance(decided, RetryAfter)
    assert (decided.call, decided.called_until) == (CallState.MAYBE_EXECUTED, None)


@pytest.mark.parametrize("failure", [UNAVAILABLE, OverBudget("over_budget", "no quota left")])
def test_past_its_age_a_command_that_never_called_fails_with_its_last_error(
    failure: Unavailable,
) -> None:
    outcome = outcome_of(decision(failure, claim(age=3_600)))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == failure.code


@pytest.mark.parametrize("failure", RETRYABLE_FAILURES)
def test_past_its_age_a_start_that_may_have_been_executed_fails_as_unconfirmed(
    failure: Unavailable | OutcomeUnknown,
) -> None:
    aged = claim(age=3_600, called=True, may_call=False)
    outcome = outcome_of(decision(failure, aged, mode=AttemptMode.LOOK_ONLY))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "start_unconfirmed"
    assert failure.message in outcome.last_error.message


def test_past_its_deadline_a_command_that_never_called_expires() -> None:
    outcome = outcome_of(decision(UNAVAILABLE, claim(), PAST))
    assert isinstance(outcome, CommandExpired)
    assert outcome.attempts == 1


def test_past_its_deadline_a_start_whose_call_is_settled_expires() -> None:
    decided = decision(NOTHING_FOUND, claim(called=True), PAST, AttemptMode.LOOK_ONLY)
    assert isinstance(outcome_of(decided), CommandExpired)


@pytest.mark.parametrize(
    ("failure", "fields", "mode"),
    [
        (UNKNOWN, {}, AttemptMode.CALL),
        (UNAVAILABLE, {"called": True}, AttemptMode.CALL),
        (UNAVAILABLE, {"called": True}, AttemptMode.LOOK_ONLY),
        (UNKNOWN, {"called": True}, AttemptMode.LOOK_ONLY),
        (NOTHING_FOUND, {"called": True, "may_call": False}, AttemptMode.LOOK_ONLY),
    ],
)
def test_past_its_deadline_a_start_that_may_have_been_executed_is_looked_for_again(
    failure: Unavailable | OutcomeUnknown, fields: dict[str, bool], mode: AttemptMode
) -> None:
    decided = decision(failure, claim(**fields), PAST, mode)
    assert isinstance(decided, RetryAfter)
    assert decided.call is CallState.MAYBE_EXECUTED


@pytest.mark.parametrize(("deadline", "cancelled_by"), [(PAST, None), (None, "stop")])
@pytest.mark.parametrize("failure", [UNKNOWN, UNAVAILABLE])
def test_at_its_maximum_age_a_start_that_may_have_been_executed_is_looked_for_no_longer(
    failure: Unavailable | OutcomeUnknown, deadline: datetime | None, cancelled_by: str | None
) -> None:
    aged = claim(age=3_600, called=True, cancelled_by=cancelled_by)
    outcome = outcome_of(decision(failure, aged, deadline, AttemptMode.LOOK_ONLY))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "start_unconfirmed"


@pytest.mark.parametrize("failure", RETRYABLE_FAILURES)
@pytest.mark.parametrize("deadline", [None, PAST])
def test_a_command_that_ended_the_process_too_often_fails_as_crashed(
    failure: Unavailable | OutcomeUnknown, deadline: datetime | None
) -> None:
    crashed = claim(age=4_000, called=True, crashes=MAX_CRASHES)
    outcome = outcome_of(decision(failure, crashed, deadline))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "crashed"


@pytest.mark.parametrize(
    ("mode", "failure", "called", "may_call", "state"),
    [
        (AttemptMode.CALL, UNAVAILABLE, False, True, CallState.NEVER_SENT),
        (AttemptMode.CALL, UNAVAILABLE, True, True, CallState.MAYBE_EXECUTED),
        (AttemptMode.CALL, UNKNOWN, False, True, CallState.MAYBE_EXECUTED),
        (AttemptMode.CALL, UNKNOWN, True, False, CallState.MAYBE_EXECUTED),
        (AttemptMode.LOOK_ONLY, UNAVAILABLE, True, True, CallState.MAYBE_EXECUTED),
        (AttemptMode.LOOK_ONLY, UNKNOWN, True, True, CallState.MAYBE_EXECUTED),
        (AttemptMode.LOOK_ONLY, NOTHING_FOUND, True, False, CallState.MAYBE_EXECUTED),
        (AttemptMode.LOOK_ONLY, NOTHING_FOUND, True, True, CallState.SETTLED),
        (AttemptMode.CALL, NOTHING_FOUND, True, True, CallState.MAYBE_EXECUTED),
    ],
)
def test_the_state_of_a_call_follows_from_the_claim_and_the_failure(
    mode: AttemptMode,
    failure: Unavailable | OutcomeUnknown,
    called: bool,
    may_call: bool,
    state: CallState,
) -> None:
    assert call_state(claim(called=called, may_call=may_call), mode, failure) is state


def test_an_operation_that_worked_completes_the_command_at_any_time() -> None:
    for age in (10.0, 4_000.0):
        decided = decision(OperationResult(recording_ids=("r",)), claim(age=age), PAST)
        assert outcome_of(decided) == CommandSucceeded(
            command_id="start",
            command_type="start_track_recording",
            recording_ids=("r",),
            metadata=None,
        )


def test_a_command_in_time_may_call() -> None:
    assert attempt_mode(start(FUTURE), claim(), NOW, POLICY) is AttemptMode.CALL


@pytest.mark.parametrize(
    ("deadline", "age", "expected"),
    [(PAST, 10.0, CommandExpired), (None, 3_600.0, CommandFailed), (PAST, 3_600.0, CommandExpired)],
)
def test_a_command_out_of_time_that_never_called_is_complete_without_an_attempt(
    deadline: datetime | None, age: float, expected: type[CommandExpired] | type[CommandFailed]
) -> None:
    claimed = claim(age=age)
    assert attempt_mode(start(deadline), claimed, NOW, POLICY) is AttemptMode.NONE
    outcome = outcome_of(decision(None, claimed, deadline, AttemptMode.NONE))
    assert isinstance(outcome, expected)
    assert outcome.attempts == 1


def test_a_start_out_of_time_that_may_have_been_executed_only_looks() -> None:
    claimed = claim(called=True)
    assert attempt_mode(start(PAST), claimed, NOW, POLICY) is AttemptMode.LOOK_ONLY


def test_a_start_that_crashes_even_while_it_only_searches_is_not_attempted_again() -> None:
    claimed = claim(called=True, crashes=MAX_CRASHES)
    assert attempt_mode(start(), claimed, NOW, POLICY) is AttemptMode.LOOK_ONLY
    once_more = claim(called=True, crashes=MAX_CRASHES + 1)
    assert attempt_mode(start(), once_more, NOW, POLICY) is AttemptMode.NONE
    outcome = outcome_of(decision(None, once_more, mode=AttemptMode.NONE))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "crashed"


@pytest.mark.parametrize(
    ("last_error", "code"), [(None, "too_old"), ('{"code":"timeout","message":"m"}', "timeout")]
)
def test_a_command_too_old_for_an_attempt_fails_with_the_last_error_there_was(
    last_error: str | None, code: str
) -> None:
    stop = StopRecording(id="stop", meeting_id="m")
    claimed = claim(age=3_600, last_error=last_error)
    outcome = outcome_of(decide(stop, claimed, AttemptMode.NONE, None, NOW, POLICY))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == code


def test_no_delay_is_longer_than_the_rest_of_the_command_s_life() -> None:
    soon = utc(NOW) + timedelta(seconds=40)
    decided = decision(UNAVAILABLE, claim(attempts=9), soon)
    assert isinstance(decided, RetryAfter)
    assert decided.seconds == 30


def test_a_cancelled_start_that_never_called_is_rejected_without_an_attempt() -> None:
    claimed = claim(cancelled_by="stop")
    assert attempt_mode(start(), claimed, NOW, POLICY) is AttemptMode.NONE
    outcome = outcome_of(decision(None, claimed, mode=AttemptMode.NONE))
    assert isinstance(outcome, CommandRejected)
    assert (outcome.code, "'stop'" in outcome.message) == ("cancelled", True)


@pytest.mark.parametrize("deadline", [None, PAST])
@pytest.mark.parametrize("age", [10.0, 4_000.0])
def test_a_cancelled_start_whose_call_is_settled_is_rejected_at_any_time(
    deadline: datetime | None, age: float
) -> None:
    claimed = claim(age=age, called=True, cancelled_by="stop")
    assert attempt_mode(start(deadline), claimed, NOW, POLICY) is AttemptMode.LOOK_ONLY
    outcome = outcome_of(decision(NOTHING_FOUND, claimed, deadline, AttemptMode.LOOK_ONLY))
    assert isinstance(outcome, CommandRejected)
    assert outcome.code == "cancelled"


@pytest.mark.parametrize(
    ("failure", "may_call"),
    [(UNAVAILABLE, True), (UNAVAILABLE, False), (UNKNOWN, True), (NOTHING_FOUND, False)],
)
def test_a_cancelled_start_that_may_have_been_executed_is_looked_for_again(
    failure: Unavailable | OutcomeUnknown, may_call: bool
) -> None:
    claimed = claim(called=True, may_call=may_call, cancelled_by="stop")
    decided = decision(failure, claimed, mode=AttemptMode.LOOK_ONLY)
    assert isinstance(decided, RetryAfter)
    assert decided.call is CallState.MAYBE_EXECUTED


def test_an_outcome_names_the_recordings_of_all_attempts_once_each() -> None:
    claimed = claim(acted_on=("a", "b"))
    outcome = outcome_of(decision(OperationResult(recording_ids=("b", "c")), claimed))
    assert isinstance(outcome, CommandSucceeded)
    assert outcome.recording_ids == ("a", "b", "c")


def test_the_recordings_of_a_failed_attempt_are_kept_for_the_next_one() -> None:
    claimed = claim(acted_on=("a",))
    done = OperationResult(recording_ids=("b",))
    decided = decide(
        start(),
        claimed,
        AttemptMode.CALL,
        NotYet("start_pending", "wait"),
        NOW,
        POLICY,
        done_before_failure=done,
    )
    assert isinstance(decided, RetryAfter)
    assert decided.acted_on == ("a", "b")


def dead_decision(
    end: AttemptEnd | None, reason: str, claimed: ClaimResult | None = None
) -> Complete | RetryAfter | Park:
    """The decision about a command that the broker dead-lettered: its deadline has passed."""
    mode = AttemptMode.LOOK_ONLY if end else AttemptMode.NONE
    return decide(start(PAST), claimed or claim(), mode, end, NOW, POLICY, dead_reason=reason)


def test_a_command_that_expired_in_the_queue_has_expired() -> None:
    assert isinstance(outcome_of(dead_decision(None, "expired")), CommandExpired)


@pytest.mark.parametrize("end", [None, UNAVAILABLE])
@pytest.mark.parametrize("reason", ["maxlen", "rejected", "delivery_limit", "unknown"])
def test_a_command_that_was_dead_lettered_for_another_reason_has_failed(
    reason: str, end: AttemptEnd | None
) -> None:
    outcome = outcome_of(dead_decision(end, reason))
    assert isinstance(outcome, CommandFailed)
    assert (outcome.attempts, outcome.last_error.code) == (1, "dead_lettered")


def test_another_end_of_a_dead_lettered_command_counts() -> None:
    found = OperationResult(recording_ids=("r1",))
    assert isinstance(outcome_of(dead_decision(found, "rejected")), CommandSucceeded)
    refused = Refused("not_found", "it is gone")
    assert isinstance(outcome_of(dead_decision(refused, "rejected")), CommandRejected)
    maybe = claim(called=True, may_call=False)
    assert isinstance(dead_decision(UNKNOWN, "rejected", maybe), RetryAfter)


def stop(deadline: datetime | None = None) -> StopRecording:
    return StopRecording(id="stop", start_id="start-1", deadline=deadline)


def test_a_stop_of_a_start_that_nobody_sent_is_parked_until_its_wait_ends() -> None:
    unknown = StartUnknown("start-1")
    decided = decide(stop(), claim(age=10), AttemptMode.CALL, unknown, NOW, POLICY)
    assert isinstance(decided, Park)
    assert (decided.waits_for, decided.subject, decided.due_at) == ("start", "start-1", NOW + 290)
    until = decide(stop(FUTURE), claim(age=999), AttemptMode.CALL, unknown, NOW, POLICY)
    assert isinstance(until, Park)
    assert until.due_at == FUTURE.timestamp()
    ended = decide(stop(), claim(age=300), AttemptMode.CALL, unknown, NOW, POLICY)
    assert isinstance(outcome_of(ended), CommandFailed)


NO_SESSION = NoSession("Meeting")


def test_a_start_without_a_session_is_parked_from_the_first_time_on() -> None:
    decided = decision(NO_SESSION, claim())
    assert isinstance(decided, Park)
    assert (decided.waits_for, decided.subject) == ("session", "meeting")
    assert (decided.due_at, decided.ignore_lists_until) == (NOW + 86_400, 0.0)
    again = decision(NO_SESSION, claim(waits_since=NOW - 80_000))
    assert isinstance(again, Park)
    assert (again.due_at, again.ignore_lists_until) == (NOW + 6_400, NOW + 60)
    until = decision(NO_SESSION, claim(), FUTURE)
    assert isinstance(until, Park)
    assert until.due_at == FUTURE.timestamp()


def test_a_start_without_a_session_fails_when_its_wait_is_over() -> None:
    outcome = outcome_of(decision(NO_SESSION, claim(waits_since=NOW - 86_400)))
    assert isinstance(outcome, CommandFailed)
    assert outcome.last_error.code == "no_session"


def test_a_limit_ends_a_start_without_a_session_as_without_an_attempt() -> None:
    assert isinstance(outcome_of(decision(NO_SESSION, claim(), PAST)), CommandExpired)
    cancelled = outcome_of(decision(NO_SESSION, claim(cancelled_by="stop")))
    assert isinstance(cancelled, CommandRejected)
    assert cancelled.code == "cancelled"
