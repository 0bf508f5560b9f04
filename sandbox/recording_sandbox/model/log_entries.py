"""The entries of the request log, one struct for each kind.

No entry has a field that could hold a token, a key or a storage secret.
"""

import msgspec


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry"):
    """One fact. `at` is sandbox time in epoch seconds (real time at speed 1)."""

    at: float


class RequestEntry(LogEntry, frozen=True, kw_only=True, tag="request"):
    """One API request.

    `status` is the decided status, also if `fault` lost the response. It is None if a fault dropped
    the request unprocessed. `detail` is the action of a PUT. `token` is the number of the token.
    `in_flight` counts earlier requests of the same operation and meeting without a response yet.
    """

    operation: str
    method: str
    status: int | None
    app_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    detail: str | None = None
    fault: str | None = None
    token: int | None = None
    breach: bool = False
    in_flight: int = 0


class StartedEntry(LogEntry, frozen=True, kw_only=True, tag="started"):
    """A recording was started."""

    recording_id: str
    meeting_id: str
    session_id: str | None
    app_id: str
    kind: str
    user_ids: tuple[str, ...] | None = None


class TransitionEntry(LogEntry, frozen=True, kw_only=True, tag="transition"):
    """A recording's status changed; `previous` is None for the first one."""

    recording_id: str
    meeting_id: str
    previous: str | None
    status: str
    reason: str | None = None


class FileEntry(LogEntry, frozen=True, kw_only=True, tag="file"):
    """A file of a recording was made. `seconds` is the recorded time in it."""

    recording_id: str
    meeting_id: str
    name: str
    seconds: float
    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class FileServedEntry(LogEntry, frozen=True, kw_only=True, tag="file_served"):
    """A file was requested by its URL. `first_byte` is the start of the range that is served."""

    recording_id: str
    name: str
    status: int
    first_byte: int = 0
    fault: str | None = None


class WebhookEntry(LogEntry, frozen=True, kw_only=True, tag="webhook"):
    """One attempt to deliver a webhook. `response_status` is None if there was no response."""

    webhook_id: str
    event: str
    uuid: str
    attempt: int
    response_status: int | None
    recording_id: str | None = None
    status: str | None = None
    fault: str | None = None


AnyEntry = (
    RequestEntry | StartedEntry | TransitionEntry | FileEntry | FileServedEntry | WebhookEntry
)
KINDS: dict[str, type[LogEntry]] = {
    "request": RequestEntry,
    "started": StartedEntry,
    "transition": TransitionEntry,
    "file": FileEntry,
    "file_served": FileServedEntry,
    "webhook": WebhookEntry,
}
