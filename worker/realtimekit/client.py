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
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.realtimekit.decoding.recordings import read_page, read_recording
from worker.realtimekit.decoding.resources import (
    read_nothing,
    read_participants,
    read_webhook,
    read_webhooks,
)
from worker.realtimekit.models import RecordingPage, Webhook
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.session import ApiSession, AttemptHook, Read
from worker.realtimekit.urls import app_url, query_params, segment

T = TypeVar("T")

_PARTICIPANTS_PER_PAGE = 100
_MOST_PARTICIPANT_PAGES = 200


class RealtimeKitClient:
    """The API of one app. Safe to share between tasks; close it with `aclose`.

    Every method raises `Refused` (`NotFound`, `Conflict`), `Unavailable` (`Throttled`,
    `Unauthorized`) or, if it is one that sends a POST, `OutcomeUnknown`. `Unavailable` comes after
    the retries that `retry` allows; `Unauthorized` and `OutcomeUnknown` come at once.

    `timeout` is the total of one attempt, in seconds. `token` is called for every attempt, and
    `renew` when the API did not accept it; it returns whether there is another token now.
    `on_attempt` is called after every attempt. With a `budget`, every attempt takes one token from
    it, and raises OverBudget, an `Unavailable`, when no quota is left in time.
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
        on_attempt: AttemptHook = lambda _attempt: None,
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
            on_attempt=on_attempt,
            budget=budget,
            transport=transport,
        )
        self._turn = RequestPriority()

    def __repr__(self) -> str:
        return f"RealtimeKitClient({self._app_url!r})"

    def with_priority(self, priority: Priority, *, patient: bool | None = None) -> Self:
        """The same API over the same connections, with this priority for its requests.

        Without `with_priority`, requests have the priority of a start. `patient` requests wait for
        quota without a time limit; others raise OverBudget after the budget's `max_wait`. Reads
        and sweeps are patient by default.
        """
        view = copy.copy(self)
        waits = priority >= Priority.READ if patient is None else patient
        view._turn = RequestPriority(priority, waits)  # noqa: SLF001 - a view of our own
        return view

    @property
    def trouble(self) -> str | None:
        """Why the API cannot be used, as of the last request; None when it answered."""
        return self._connection.trouble

    def server_time(self) -> datetime | None:
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

    async def start_track_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record the participants of a live meeting into a file each; `body` as the API has it."""
        read = _of_a_start(body, partial(read_recording, kind="track"))
        return await self._ask("POST", "/recordings/track", read, body=body)

    async def start_composite_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record a meeting into one file. 409, another one runs, is `Conflict`."""
        read = _of_a_start(body, partial(read_recording, kind="composite"))
        return await self._ask("POST", "/recordings", read, body=body)

    async def get_recording(self, recording_id: str) -> RecordingSnapshot:
        """One recording, with its files if it has any."""
        path = f"/recordings/{segment(recording_id, 'recording_id')}"
        return await self._ask("GET", path, partial(read_recording, recording_id=recording_id))

    async def control_recording(
        self, recording_id: str, action: Literal["stop", "pause", "resume"]
    ) -> RecordingSnapshot:
        """Stop, pause or resume a recording.

        An action whose answer was lost is sent again, so that `Refused` may also mean that it has
        had its effect before: look at the recording.
        """
        path = f"/recordings/{segment(recording_id, 'recording_id')}"
        read = partial(read_recording, recording_id=recording_id)
        return await self._ask("PUT", path, read, body={"action": action})

    async def list_recordings(
        self,
        *,
        page_no: int = 1,
        per_page: int | None = None,
        meeting_id: str | None = None,
        statuses: Sequence[Status] = (),
        sort_order: Literal["ASC", "DESC"] | None = None,
    ) -> RecordingPage:
        """One page of the app's recordings. Pages are counted from 1.

        With a `sort_order` the list is sorted by `invoked_time`.
        """
        query = query_params(
            page_no=page_no,
            per_page=per_page,
            meeting_id=meeting_id,
            status=",".join(statuses) or None,
            sort_by="invokedTime" if sort_order else None,
            sort_order=sort_order,
        )
        read = partial(read_page, per_page=per_page, meeting_id=meeting_id)
        return await self._ask("GET", "/recordings", read, query=query)

    async def list_participants(self, session_id: str) -> tuple[Participant, ...]:
        """Everybody who was in the session, from all pages, each peer once, as the API has them."""
        path = f"/sessions/{segment(session_id, 'session_id')}/participants"
        read = partial(read_participants, per_page=_PARTICIPANTS_PER_PAGE)
        found: dict[str, Participant] = {}
        for page_no in range(1, _MOST_PARTICIPANT_PAGES + 1):
            query = query_params(page_no=page_no, per_page=_PARTICIPANTS_PER_PAGE, view="raw")
            page, last = await self._ask("GET", path, read, query=query)
            before = len(found)
            found.update((participant.peer_id, participant) for participant in page)
            # A page with nobody new means that the API takes no notice of `page_no`.
            if last or len(found) == before:
                break
        return tuple(found.values())

    # Webhooks

    async def list_webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks of the app."""
        return await self._ask("GET", "/webhooks", read_webhooks)

    async def create_webhook(
        self, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Register a webhook. The API takes the same URL twice: look at `list_webhooks` first."""
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._ask("POST", "/webhooks", read_webhook, body=body)

    async def replace_webhook(
        self, webhook_id: str, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Set every member of a webhook."""
        path = f"/webhooks/{segment(webhook_id, 'webhook_id')}"
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._ask("PUT", path, read_webhook, body=body)

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
