"""Requests to the API, attempts, responses, and decoded values other than snapshots.

A field of a decoded value is None if the API did not send it.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

import httpx
import msgspec

from worker.domain.errors import ApiError
from worker.domain.meeting_participants import MeetingParticipant
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.realtimekit.urls import DEFAULT_PORTS

Action = Literal["stop", "pause", "resume"]
"""What the API can do with a live recording."""

ANY_SUCCESS: Final = 200
"""The status that traces show for every 2xx response: the difference has no meaning here."""


class ApiRequest(NamedTuple):
    """One request: `path` begins after the app's URL, `content` is its JSON body or None.

    `secrets` are the secret strings in the body. They are kept out of error messages.
    """

    method: str
    path: str
    url: httpx.URL
    content: bytes | None
    secrets: tuple[str, ...]


class ApiResponse(NamedTuple):
    """One whole response, its body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


class HttpAttempt(NamedTuple):
    """One HTTP attempt: method, path template, URL, 1-based attempt number, error or None,
    duration in seconds.

    The path template is the path with `{id}` in place of each id, such as `/recordings/{id}`.
    """

    method: str
    path_template: str
    url: httpx.URL
    number: int
    error: ApiError | None
    seconds: float

    @property
    def operation(self) -> str:
        """Method and path template, such as `GET /recordings/{id}`."""
        return f"{self.method} {self.path_template}"

    @property
    def error_type(self) -> str | None:
        """The HTTP status of a failed attempt, else the code of its error; None on success."""
        return str(self.error.http_status or self.error.code) if self.error else None

    def span_attributes(self) -> dict[str, str | int]:
        """The attempt in OpenTelemetry's semantic conventions for HTTP clients."""
        status = self.error.http_status if self.error else ANY_SUCCESS
        return {
            "http.request.method": self.method,
            "url.template": self.path_template,
            "url.full": str(self.url),
            "server.address": self.url.host,
            "server.port": self.url.port or DEFAULT_PORTS[self.url.scheme],
            **({"http.response.status_code": status} if status else {}),
            **({"http.request.resend_count": self.number - 1} if self.number > 1 else {}),
        }


AttemptHook = Callable[[HttpAttempt], None]

UnknownStatusHook = Callable[[], None]
"""Called for each recording in an answer or webhook whose status is not documented."""


class RecordingPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list of recordings.

    `is_last`: there is no further page. `unreadable_count` counts the items that were left out
    because they have no usable id.
    """

    recordings: tuple[RecordingSnapshot, ...]
    total_count: int | None
    end_offset: int | None
    is_last: bool
    unreadable_count: int


class ParticipantPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the people who may join a meeting.

    `total_count` counts the participants on all pages. `is_last` and `unreadable_count` are as in
    `RecordingPage`.
    """

    participants: tuple[MeetingParticipant, ...]
    total_count: int | None
    is_last: bool
    unreadable_count: int


class StayPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the participants of a session. `is_last`: there is no further page.

    `is_counted`: the API says how many participants all pages have.
    """

    participants: tuple[Participant, ...]
    is_last: bool
    is_counted: bool


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a meeting. `meeting_id` is None if the API did not send it."""

    meeting_id: str | None
    is_live: bool


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list of sessions. `is_last`: there is no further page."""

    sessions: tuple[Session, ...]
    is_last: bool


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registered webhook: the API sends `events` to `url`."""

    webhook_id: str
    url: str
    name: str | None
    events: tuple[str, ...]
    enabled: bool | None = None
