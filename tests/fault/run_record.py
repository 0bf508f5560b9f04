"""The plain facts that a campaign records while it runs. The report judges them afterwards."""

from collections.abc import Iterable

import msgspec

from recording_sandbox.model.log_entries import (
    FileEntry,
    RequestEntry,
    StartedEntry,
    TransitionEntry,
)
from recording_sandbox.model.request_log import RequestLog
from recording_schemas import Kind

SUCCEEDED = frozenset({"succeeded"})
REJECTED = frozenset({"rejected"})
ANY_OUTCOME = frozenset({"succeeded", "rejected", "expired", "failed"})


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was published to the commands exchange.

    `confirmed`: the broker confirmed it, so the worker is responsible for it. `command_id` is the
    id in the body, else the message_id; `is_command` is false for messages that belong in the
    dead-letter queue. `starts` is the kind that a start command asks for. `allowed` are the correct
    outcomes. `reply_to`: whether a reply was asked for.
    """

    body: bytes
    command_id: str
    confirmed: bool
    is_command: bool = True
    starts: Kind | None = None
    meeting_id: str | None = None
    allowed: frozenset[str] = ANY_OUTCOME
    reply_to: bool = False


class ReceivedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as a subscriber got it, in the order of arrival.

    `exchange` is the last part of its name (`status`, `files`, `results`, `dead-letter`), and
    empty for a reply. `redelivered`: the broker had sent it to a consumer that was lost.
    """

    exchange: str
    routing_key: str
    message_id: str | None
    body: bytes
    redelivered: bool = False


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All facts of a run, seen from outside the workers.

    `foreign` are recordings that another program started: the worker owes no events about them.
    `beyond_limit` are requests that the emulated API refused because of its rate limit. `archives`:
    every file must have a copy.
    """

    sent: tuple[SentMessage, ...] = ()
    received: tuple[ReceivedMessage, ...] = ()
    started: tuple[StartedEntry, ...] = ()
    transitions: tuple[TransitionEntry, ...] = ()
    files: tuple[FileEntry, ...] = ()
    foreign: frozenset[str] = frozenset()
    beyond_limit: tuple[RequestEntry, ...] = ()
    archives: bool = False


def run_record_of(
    sent: Iterable[SentMessage],
    received: Iterable[ReceivedMessage],
    request_log: RequestLog,
    *,
    foreign: Iterable[str] = (),
    may_breach: bool = False,
    archives: bool = False,
) -> RunRecord:
    """The facts so far, from the records of publisher, subscriber and emulated API.

    With `may_breach`, workers could not know the API's limit, and requests beyond it do not count.
    """
    return RunRecord(
        sent=tuple(sent),
        received=tuple(received),
        started=tuple(request_log.started),
        transitions=tuple(request_log.transitions),
        files=tuple(request_log.files),
        foreign=frozenset(foreign),
        beyond_limit=()
        if may_breach
        else tuple(request for request in request_log.requests if request.breach),
        archives=archives,
    )
