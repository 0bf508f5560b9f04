"""Every operation of the API that the worker uses, as one method each."""

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Literal, Self, TypeVar

import httpx

from recording_schemas import Status
from worker.budget.budget import Budget
from worker.budget.priorities import Priority, RequestPriority
from worker.domain.errors import NotFound
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.realtimekit.decoding.recordings import read_page, read_recording
from worker.realtimekit.decoding.resources import (
    read_names,
    read_nothing,
    read_participant,
    read_participants,
    read_session,
    read_sessions,
    read_webhook,
    read_webhooks,
)
from worker.realtimekit.models import RecordingPage, Session, Sessions, Webhook
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.session import ApiSession, Read
from worker.realtimekit.tries import AttemptHook
from worker.realtimekit.urls import app_url, query_of, segment

T = TypeVar("T")

_PARTICIPANTS_PER_PAGE = 100
_MOST_PARTICIPANT_PAGES = 200


class RealtimeKit:
    """The API of one app. Safe to share between tasks; close it with `aclose`.

    Every method raises `Refused` (`NotFound`, `Conflict`), `Unavailable` (`Throttled`,
    `Unauthorized`) or, if it is one that sends a POST, `OutcomeUnknown`. `Unavailable` comes after
    the retries that `retry` allows; `Unauthorized` and `OutcomeUnknown` come at once.

    `timeout` is the total of one attempt, in seconds. `token` is called for every attempt, and
    `renew` when the API did not accept it; it returns whether there is another token now.
    `observed` hears of every try. Each is paid for from `budget`, if there is one, which raises
    OverBudget, an `Unavailable`, when there is no leave soon enough.
    `transport` is for tests; the default one speaks to the network. A `base_url`, `account_id` or
    `app_id` that cannot be part of a URL is a `ValueError`, any other such id is `Refused` unsent.
    """

    def __init__(
        self,
        *,
        base_url: str,
        account_id: str,
        app_id: str,
        token: Callable[[], str],
        timeout: float,
        retry: RequestRetry,
        renew: Callable[[], bool] = lambda: False,
        observed: AttemptHook = lambda _one: None,
        budget: Budget | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._app_url = app_url(base_url, account_id, app_id)
        self._connection = ApiSession(
            base_url=self._app_url,
            token=token,
            renew=renew,
            timeout=timeout,
            retry=retry,
            observed=observed,
            budget=budget,
            transport=transport,
        )
        self._turn = RequestPriority()

    def __repr__(self) -> str:
        return f"RealtimeKit({self._app_url!r})"

    def at(self, priority: Priority, *, patient: bool | None = None) -> Self:
        """The same API over the same connections, its requests of this priority.

        Without `at` they have that of a start. `patient` ones wait for leave as long as it takes,
        as reads and sweeps do unless they are told not to; others raise OverBudget after a while.
        """
        view = copy.copy(self)
        waits = priority >= Priority.READ if patient is None else patient
        view._turn = RequestPriority(priority, waits)  # noqa: SLF001 - a view of our own
        return view

    @property
    def trouble(self) -> str | None:
        """Why the API cannot be used, as of the last request; None when it answered."""
        return self._connection.trouble

    def clock(self) -> datetime | None:
        """What the API's clock shows now, to a second; None before its first answer."""
        return self._connection.clock()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        read: Read[T],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> T:
        return await self._connection.ask(
            method, path, read, query=query, body=body, turn=self._turn
        )

    # Recordings

    async def start_track(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record the participants of a live meeting into a file each; `body` as the API has it."""
        read = _of_a_start(body, partial(read_recording, kind="track"))
        return await self._ask("POST", "/recordings/track", read, body=body)

    async def start_composite(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record a meeting into one file. 409, another one runs, is `Conflict`."""
        read = _of_a_start(body, partial(read_recording, kind="composite"))
        return await self._ask("POST", "/recordings", read, body=body)

    async def get(self, recording_id: str) -> RecordingSnapshot:
        """One recording, with its files if it has any."""
        path = f"/recordings/{segment(recording_id, 'recording_id')}"
        return await self._ask("GET", path, partial(read_recording, recording_id=recording_id))

    async def act(
        self, recording_id: str, action: Literal["stop", "pause", "resume"]
    ) -> RecordingSnapshot:
        """Stop, pause or resume a recording.

        An action whose answer was lost is sent again, so that `Refused` may also mean that it has
        had its effect before: look at the recording.
        """
        path = f"/recordings/{segment(recording_id, 'recording_id')}"
        read = partial(read_recording, recording_id=recording_id)
        return await self._ask("PUT", path, read, body={"action": action})

    async def active(self, meeting_id: str) -> RecordingSnapshot | None:
        """A recording that runs in the meeting, None if none does.

        Which one of several is the API's choice: `list` with `meeting_id` and `statuses` gives all.
        """
        path = f"/recordings/active-recording/{segment(meeting_id, 'meeting_id')}"
        try:
            return await self._ask("GET", path, partial(read_recording, meeting_id=meeting_id))
        except NotFound:
            return None

    async def list(
        self,
        *,
        page_no: int = 1,
        per_page: int | None = None,
        meeting_id: str | None = None,
        statuses: Sequence[Status] = (),
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        search: str | None = None,
        expired: bool | None = None,
        sort_order: Literal["ASC", "DESC"] | None = None,
    ) -> RecordingPage:
        """One page of the app's recordings, pages counted from 1, sorted by `invoked_time`.

        Which of a recording's times `start_time` and `end_time` are compared with is not
        documented. Times must be aware.
        """
        query = query_of(
            page_no=page_no,
            per_page=per_page,
            meeting_id=meeting_id,
            status=",".join(statuses) or None,
            start_time=start_time,
            end_time=end_time,
            search=search,
            expired=expired,
            sort_by="invokedTime" if sort_order else None,
            sort_order=sort_order,
        )
        read = partial(read_page, per_page=per_page, meeting_id=meeting_id)
        return await self._ask("GET", "/recordings", read, query=query)

    # Sessions

    async def active_session(self, meeting_id: str) -> Session | None:
        """The session in which the meeting is live, None if it is not."""
        path = f"/meetings/{segment(meeting_id, 'meeting_id')}/active-session"
        try:
            return await self._ask("GET", path, read_session)
        except NotFound:
            return None

    async def sessions(
        self,
        *,
        meeting_id: str | None = None,
        status: Literal["LIVE", "ENDED"] | None = None,
        page_no: int = 1,
        per_page: int | None = None,
    ) -> Sessions:
        """One page of the app's sessions, pages counted from 1."""
        query = query_of(
            page_no=page_no, per_page=per_page, associated_id=meeting_id, status=status
        )
        return await self._ask(
            "GET", "/sessions", partial(read_sessions, per_page=per_page), query=query
        )

    async def session(self, session_id: str) -> Session:
        """One session."""
        return await self._ask(
            "GET", f"/sessions/{segment(session_id, 'session_id')}", read_session
        )

    async def participants(self, session_id: str) -> tuple[Participant, ...]:
        """Everybody who was in the session, from all pages, each peer once, as the API has them."""
        path = f"/sessions/{segment(session_id, 'session_id')}/participants"
        read = partial(read_participants, per_page=_PARTICIPANTS_PER_PAGE)
        found: dict[str, Participant] = {}
        for page_no in range(1, _MOST_PARTICIPANT_PAGES + 1):
            query = query_of(page_no=page_no, per_page=_PARTICIPANTS_PER_PAGE, view="raw")
            page, last = await self._ask("GET", path, read, query=query)
            before = len(found)
            found.update((participant.peer_id, participant) for participant in page)
            # A page with nobody new means that the API takes no notice of `page_no`.
            if last or len(found) == before:
                break
        return tuple(found.values())

    async def participant(self, session_id: str, participant_id: str) -> Participant:
        """One presence in a session; `participant_id` is the peer id."""
        path = (
            f"/sessions/{segment(session_id, 'session_id')}"
            f"/participants/{segment(participant_id, 'participant_id')}"
        )
        return await self._ask("GET", path, read_participant)

    # Webhooks

    async def webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks of the app."""
        return await self._ask("GET", "/webhooks", read_webhooks)

    async def webhook_events(self) -> tuple[str, ...]:
        """The names of the events a webhook can be registered for."""
        return await self._ask("GET", "/webhooks/all", read_names)

    async def get_webhook(self, webhook_id: str) -> Webhook:
        """One webhook."""
        return await self._ask(
            "GET", f"/webhooks/{segment(webhook_id, 'webhook_id')}", read_webhook
        )

    async def add_webhook(
        self, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Register a webhook. The API takes the same URL twice: look at `webhooks` first."""
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._ask("POST", "/webhooks", read_webhook, body=body)

    async def replace_webhook(
        self, webhook_id: str, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Set every member of a webhook."""
        path = f"/webhooks/{segment(webhook_id, 'webhook_id')}"
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._ask("PUT", path, read_webhook, body=body)

    async def edit_webhook(
        self,
        webhook_id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        events: Sequence[str] | None = None,
        enabled: bool | None = None,
    ) -> Webhook:
        """Set those members of a webhook that are not None."""
        path = f"/webhooks/{segment(webhook_id, 'webhook_id')}"
        given = {"name": name, "url": url, "events": events, "enabled": enabled}
        body = {member: value for member, value in given.items() if value is not None}
        return await self._ask("PATCH", path, read_webhook, body=body)

    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook; one that is not there is `NotFound`."""
        path = f"/webhooks/{segment(webhook_id, 'webhook_id')}"
        await self._ask("DELETE", path, read_nothing)


def _of_a_start(
    body: Mapping[str, object], read: Callable[..., RecordingSnapshot]
) -> Read[RecordingSnapshot]:
    """Reads the answer to a start: an id says that the recording exists, so nothing else must."""
    meeting_id = body.get("meeting_id")
    known = meeting_id if isinstance(meeting_id, str) else None
    return partial(read, meeting_id=known, status=Status.INVOKED)
