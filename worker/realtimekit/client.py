"""The operations of the API that the worker uses, one method each."""

import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, Self, TypeVar

import httpx

from recording_schemas import Status
from worker.budget.budget import Budget
from worker.budget.priorities import Priority, RequestPriority
from worker.domain.errors import NotFound, Refused
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.realtimekit.decoding.recordings import decode_recording, decode_recording_page
from worker.realtimekit.decoding.resources import (
    decode_meeting_participants,
    decode_participants,
    decode_webhook,
    decode_webhooks,
    ignore_body,
)
from worker.realtimekit.decoding.sessions import decode_session, decode_session_page
from worker.realtimekit.models import (
    Action,
    AttemptHook,
    ParticipantPage,
    RecordingPage,
    SessionPage,
    UnknownStatusHook,
    Webhook,
)
from worker.realtimekit.paged_lists import PageDecoder, PagedLists
from worker.realtimekit.retry import RequestRetry
from worker.realtimekit.session import ApiSession, BeforeSend, Decoder, RequestHooks, path_template
from worker.realtimekit.urls import app_url, path_segment, query_params
from worker.settings.proxies import NO_PROXIES, Proxies

T = TypeVar("T")

PAGE_SIZE: Final = 100
"""How many items of a list to ask for in one request. The API may refuse as many."""

MAX_PARTICIPANT_PAGES: Final = 200


class RealtimeKitClient:
    """The API of one app. Safe to share between tasks. Close it with `aclose`.

    Every method raises `Refused` (`NotFound`, `Conflict`) or `Unavailable` (`Throttled`,
    `Unauthorized`, `OverBudget`); a method that sends a POST also raises `OutcomeUnknown`.
    `Unavailable` is raised after the attempts that `retry` allows, `Unauthorized` and
    `OutcomeUnknown` at once. A recording, session or webhook id that cannot be part of a URL is
    `Refused` without a request.

    `timeout` is the total of one attempt, in seconds. `token` is called for every attempt.
    `refresh_token` is called when the API did not accept the token, and returns whether there is
    another one now. `on_attempt` is called after every attempt. With a `budget`, every attempt
    takes one token from it. Such an attempt raises OverBudget when no quota is left in time, and
    StoreUnavailable when the store of the budget fails. `proxies` are those of the environment.
    `transport` is for tests; the default one uses the network.

    Raises ValueError when `base_url`, `account_id` or `app_id` cannot be part of a URL.
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
        refresh_token: Callable[[], bool] = lambda: False,
        on_attempt: AttemptHook = lambda _attempt: None,
        on_unknown_status: UnknownStatusHook = lambda: None,
        budget: Budget | None = None,
        proxies: Proxies = NO_PROXIES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._app_url = app_url(base_url, account_id, app_id)
        self._session = ApiSession(
            base_url=self._app_url,
            token=token,
            refresh_token=refresh_token,
            timeout=timeout,
            retry=retry,
            on_attempt=on_attempt,
            on_unknown_status=on_unknown_status,
            budget=budget,
            proxies=proxies,
            transport=transport,
        )
        self._lists = PagedLists()
        self._priority = RequestPriority()
        self._before_send: BeforeSend | None = None

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
        view._priority = RequestPriority(priority, waits)  # noqa: SLF001 - a view of our own
        return view

    def with_check(self, before_send: BeforeSend) -> Self:
        """The same API over the same connections. Each attempt at a request awaits `before_send`
        after any wait for quota, right before it is sent. The request raises the same errors."""
        view = copy.copy(self)
        view._before_send = before_send  # noqa: SLF001 - a view of our own
        return view

    @property
    def unavailable_reason(self) -> str | None:
        """Why the last attempt brought no usable response. None if it did, or was refused."""
        return self._session.unavailable_reason

    def server_time(self) -> datetime | None:
        """The API's present time, to a second; None before its first response."""
        return self._session.server_time()

    def receive(self, snapshot: RecordingSnapshot) -> RecordingSnapshot:
        """A snapshot that did not come from this client, for example from a webhook, without
        secrets."""
        return self._session.receive(snapshot)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.aclose()

    # Recordings

    async def start_track_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record each participant of a live meeting into files. `body` is the API's."""
        decode = _decode_start(body, partial(decode_recording, kind="track"))
        return await self._request("POST", "/recordings/track", decode, body=body)

    async def start_composite_recording(self, body: Mapping[str, object]) -> RecordingSnapshot:
        """Record a meeting into one file. Raises Conflict (409) while another recording runs."""
        decode = _decode_start(body, partial(decode_recording, kind="composite"))
        return await self._request("POST", "/recordings", decode, body=body)

    async def get_recording(self, recording_id: str) -> RecordingSnapshot:
        """One recording, with its files if it has any."""
        path = f"/recordings/{path_segment(recording_id, 'recording_id')}"
        decode = partial(decode_recording, recording_id=recording_id)
        return await self._request("GET", path, decode)

    async def control_recording(
        self,
        recording_id: str,
        action: Action,
        *,
        on_answer_lost: Callable[[], None] | None = None,
    ) -> RecordingSnapshot:
        """Stop, pause or resume a recording.

        If the response is lost, `on_answer_lost` is called and the request is sent again. `Refused`
        may therefore also mean that the action already had its effect: read the recording to find
        out.
        """
        path = f"/recordings/{path_segment(recording_id, 'recording_id')}"
        decode = partial(decode_recording, recording_id=recording_id)
        return await self._request(
            "PUT", path, decode, body={"action": action}, on_answer_lost=on_answer_lost
        )

    async def list_recordings(
        self,
        *,
        page_no: int = 1,
        per_page: int | None = None,
        meeting_id: str | None = None,
        statuses: Sequence[Status] = (),
        sort_order: Literal["ASC", "DESC"] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> RecordingPage:
        """One page of the app's recordings. Pages are counted from 1.

        With a `sort_order` the list is sorted by `invoked_time`. The API does not
        document which of a recording's times it compares with `since` and `until`.
        """
        query = query_params(
            meeting_id=meeting_id,
            status=",".join(statuses) or None,
            sort_by="invokedTime" if sort_order else None,
            sort_order=sort_order,
            start_time=_iso(since),
            end_time=_iso(until),
        )

        def decode(body: bytes | bytearray, length: int | None) -> RecordingPage:
            return decode_recording_page(
                body, page_no=page_no, per_page=length, meeting_id=meeting_id
            )

        return await self._request_page(page_no, per_page, "/recordings", decode, query)

    async def list_participants(self, session_id: str) -> tuple[Participant, ...]:
        """All participants of the session, from all pages, each peer once, in the API's order."""
        path = f"/sessions/{path_segment(session_id, 'session_id')}/participants"
        query = query_params(view="raw")
        found: dict[str, Participant] = {}
        may_have_ended = False
        for page_no in range(1, MAX_PARTICIPANT_PAGES + 1):
            try:
                decode = partial(decode_participants, page_no=page_no)
                page = await self._request_page(page_no, PAGE_SIZE, path, decode, query)
            except Refused:
                if not may_have_ended:
                    raise
                break
            before = len(found)
            found.update((participant.peer_id, participant) for participant in page.participants)
            # A page without a new participant means that the API ignores `page_no`.
            if page.is_last or len(found) == before:
                break
            # The API may refuse a page behind the last one. Without a total, that ends the list.
            may_have_ended = not page.is_counted
        return tuple(found.values())

    async def list_meeting_participants(self, meeting_id: str, *, page_no: int) -> ParticipantPage:
        """One page of the people who may join the meeting. Pages are counted from 1."""
        path = f"/meetings/{path_segment(meeting_id, 'meeting_id')}/participants"

        def decode(body: bytes | bytearray, _length: int | None) -> ParticipantPage:
            return decode_meeting_participants(body, page_no=page_no)

        return await self._request_page(page_no, PAGE_SIZE, path, decode, {})

    async def has_live_session(self, meeting_id: str) -> bool:
        """Whether the meeting has a live session. Raises no NotFound."""
        path = f"/meetings/{path_segment(meeting_id, 'meeting_id')}/active-session"
        try:
            decode = partial(decode_session, meeting_id=meeting_id)
            session = await self._request("GET", path, decode)
        except NotFound:
            return False
        return session.is_live

    async def list_live_sessions(self, *, page_no: int) -> SessionPage:
        """One page of the app's live sessions, the newest first. Pages are counted from 1."""
        query = query_params(
            status="LIVE",
            sort_by="createdAt",
            sort_order="DESC",
        )
        decode = partial(decode_session_page, page_no=page_no)
        return await self._request_page(page_no, PAGE_SIZE, "/sessions", decode, query)

    # Webhooks

    async def list_webhooks(self) -> tuple[Webhook, ...]:
        """All webhooks of the app."""
        return await self._request("GET", "/webhooks", decode_webhooks)

    async def create_webhook(
        self, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Register a webhook.

        The API accepts the same URL twice, so call `list_webhooks` first.
        """
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._request("POST", "/webhooks", decode_webhook, body=body)

    async def replace_webhook(
        self, webhook_id: str, *, name: str, url: str, events: Sequence[str], enabled: bool = True
    ) -> Webhook:
        """Set every field of a webhook."""
        path = f"/webhooks/{path_segment(webhook_id, 'webhook_id')}"
        body = {"name": name, "url": url, "events": tuple(events), "enabled": enabled}
        return await self._request("PUT", path, decode_webhook, body=body)

    async def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook. Raises NotFound when it is not there."""
        path = f"/webhooks/{path_segment(webhook_id, 'webhook_id')}"
        await self._request("DELETE", path, ignore_body)

    async def _request_page(
        self,
        page_no: int,
        per_page: int | None,
        path: str,
        decode_page: PageDecoder[T],
        query: Mapping[str, str],
    ) -> T:
        async def request(page_query: Mapping[str, str], decode: Decoder[T]) -> T:
            return await self._request("GET", path, decode, query={**page_query, **query})

        return await self._lists.get(path_template(path), page_no, per_page, decode_page, request)

    async def _request(
        self,
        method: str,
        path: str,
        decode: Decoder[T],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        on_answer_lost: Callable[[], None] | None = None,
    ) -> T:
        return await self._session.request(
            method,
            path,
            decode,
            query=query,
            body=body,
            priority=self._priority,
            hooks=RequestHooks(self._before_send, on_answer_lost),
        )


def _iso(at: datetime | None) -> str | None:
    """The time as the API writes its own: UTC, with milliseconds and a Z."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _decode_start(
    body: Mapping[str, object], decode: Callable[..., RecordingSnapshot]
) -> Decoder[RecordingSnapshot]:
    """Decodes the response to a start.

    An id in the response means that the recording exists, so no other field is required.
    """
    meeting_id = body.get("meeting_id")
    known = meeting_id if isinstance(meeting_id, str) else None
    return partial(decode, meeting_id=known, status=Status.INVOKED)
