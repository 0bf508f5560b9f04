"""Checks whether the session that a start waits for has begun."""

from worker.commands.operations.context import OperationContext, SessionWait
from worker.domain.errors import NoSession, OverBudget, Unavailable


async def require_session(context: OperationContext, wait: SessionWait, meeting_id: str) -> None:
    """Return if the meeting has a live session. Raises NoSession if the start must wait.

    If the budget has no quota for this request, the start waits too: the next list of live sessions
    is one request for all waiting starts. This happens only the first time. Later the list has
    already shown a session. If the wait is over and the API does not answer, this counts as no
    session.

    Raises Unavailable and Refused as well.
    """
    try:
        is_live = await context.api.has_live_session(meeting_id)
    except Unavailable as error:
        may_ask_later = isinstance(error, OverBudget) and not wait.has_waited
        if may_ask_later or wait.is_over:
            raise NoSession(meeting_id) from error
        raise
    if not is_live:
        raise NoSession(meeting_id)
