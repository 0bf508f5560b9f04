"""What a campaign writes down while it runs: plain facts, judged afterwards by the report."""

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

    `confirmed`: the broker took it, so from then on it is the worker's. `command_id` is that of the
    body, else the message_id; `is_command` is false for what belongs into the dead-letter queue.
    `starts` is what a start command asks for. `allowed` are the outcomes that would be right.
    `reply_to`: whether a reply was asked for.
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
    """All that happened, as seen from outside of the workers.

    `foreign` are recordings that somebody else started: nobody owes events about them.
    `beyond_limit` are requests that the emulated API refused for being too many. `archives`: every
    file is owed a copy.
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
    """The facts so far, out of what publisher, subscriber and emulated API have written down.

    With `may_breach` nobody could know the API's limit, and to be beyond it is no fact.
    """
    return RunRecord(
        sent=tuple(sent),
        received=tuple(received),
        started=tuple(request_log.started),
        transitions=tuple(request_log.transitions),
        files=tuple(request_log.files),
        foreign=frozenset(foreign),
        beyond_limit=() if may_breach else tuple(one for one in request_log.requests if one.breach),
        archives=archives,
    )
