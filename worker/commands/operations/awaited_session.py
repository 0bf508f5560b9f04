"""Asks whether the session has begun that a start waits for."""

from worker.commands.operations.context import OperationContext, SessionWait
from worker.domain.errors import NoSession, OverBudget, Unavailable


async def require_session(context: OperationContext, wait: SessionWait, meeting_id: str) -> None:
    """Return if the meeting has a live session. Raises NoSession if the start is to wait for it.

    If the budget has no quota for this request, the start waits as well: the next list of live
    sessions is one request for all that wait. It does so once, because later the list has said that
    there is a session. When the wait is over and the API cannot say, it counts as no session.

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
