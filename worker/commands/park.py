"""The decision that a command waits in the store. Pure."""

from typing import Final

import msgspec

from recording_schemas import Command, ErrorInfo
from worker.commands.retry_policy import RetryPolicy
from worker.domain.errors import NoSession, StartUnknown
from worker.store.claims import ClaimResult
from worker.store.parking import WaitsFor

IGNORE_LISTS_SECONDS: Final = 60.0
"""After a list showed a session that the meeting did not have, lists are ignored for this long.
So a list that is wrong for hours costs few requests. A webhook counts at once."""


class Park(msgspec.Struct, frozen=True, kw_only=True):
    """The command waits in the store for `subject`, and is attempted again when that exists.

    It is attempted at `due_at` (epoch seconds) in any case. Lists of live sessions that are
    requested before `ignore_lists_until` (epoch seconds) do not count.
    """

    waits_for: WaitsFor
    subject: str
    due_at: float
    ignore_lists_until: float
    reason: ErrorInfo


def park_for_session(
    command: Command, claim: ClaimResult, no_session: NoSession, now: float, policy: RetryPolicy
) -> Park:
    """The start waits for its meeting's session. Its wait counts from the first time."""
    since = now if claim.waits_since is None else claim.waits_since
    return Park(
        waits_for="session",
        subject=no_session.meeting_id.lower(),
        due_at=policy.session_wait_end(command, since),
        ignore_lists_until=0.0 if claim.waits_since is None else now + IGNORE_LISTS_SECONDS,
        reason=ErrorInfo(code=no_session.code, message=no_session.message),
    )


def park_for_start(
    command: Command, claim: ClaimResult, unknown: StartUnknown, policy: RetryPolicy
) -> Park:
    """The stop waits for a start that has not arrived yet. It is due when that start has ended."""
    deadline = command.deadline
    end = claim.first_seen_at + policy.stop_wait if deadline is None else deadline.timestamp()
    return Park(
        waits_for="start",
        subject=unknown.start_id,
        due_at=end,
        ignore_lists_until=0.0,
        reason=ErrorInfo(code=unknown.code, message=unknown.message),
    )
