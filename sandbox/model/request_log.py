"""What the sandbox was asked and what it did. Tests and campaigns account against this.

No entry has a member that could hold a token, a key or a storage secret.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry"):
    """`at` is sandbox time in epoch seconds (real time at speed 1)."""

    at: float


class Request(Entry, frozen=True, kw_only=True, tag="request"):
    """One request. `status` is what was decided, even if `fault` kept the answer from arriving.

    `status` is None when a fault dropped the request before it was looked at; `detail` is the
    action of a PUT; `token` tells tokens apart by a number without naming them. `beside` counts
    requests of the same operation about the same meeting that had come before and had no answer.
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
    beside: int = 0


class Started(Entry, frozen=True, kw_only=True, tag="started"):
    """A recording came into being."""

    recording_id: str
    meeting_id: str
    session_id: str | None
    app_id: str
    kind: str
    user_ids: tuple[str, ...] | None = None


class Transition(Entry, frozen=True, kw_only=True, tag="transition"):
    """A recording's status changed; `previous` is None for the first one."""

    recording_id: str
    meeting_id: str
    previous: str | None
    status: str
    reason: str | None = None


class FileMade(Entry, frozen=True, kw_only=True, tag="file"):
    """A recording's file became available for download. `seconds` is what was recorded in it."""

    recording_id: str
    meeting_id: str
    name: str
    seconds: float
    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class FileServed(Entry, frozen=True, kw_only=True, tag="file_served"):
    """Somebody asked for a file by its URL."""

    recording_id: str
    name: str
    status: int


class WebhookSent(Entry, frozen=True, kw_only=True, tag="webhook"):
    """One attempt to deliver. `answer` is the receiver's status, None when none came."""

    webhook_id: str
    event: str
    uuid: str
    attempt: int
    answer: int | None
    recording_id: str | None = None
    status: str | None = None
    fault: str | None = None


AnyEntry = Request | Started | Transition | FileMade | FileServed | WebhookSent
KINDS: dict[str, type[Entry]] = {
    "request": Request,
    "started": Started,
    "transition": Transition,
    "file": FileMade,
    "file_served": FileServed,
    "webhook": WebhookSent,
}


class RequestLog:
    """Entries in the order they happened, by kind and altogether.

    `limit` bounds how many of each kind are kept (the counts go on); `path` also writes each entry
    as one JSON line.
    """

    def __init__(self, *, limit: int | None = None, path: Path | None = None) -> None:
        self.requests: deque[Request] = deque(maxlen=limit)
        self.started: deque[Started] = deque(maxlen=limit)
        self.transitions: deque[Transition] = deque(maxlen=limit)
        self.files: deque[FileMade] = deque(maxlen=limit)
        self.files_served: deque[FileServed] = deque(maxlen=limit)
        self.webhooks: deque[WebhookSent] = deque(maxlen=limit)
        self.total = 0
        self.counts: Counter[str] = Counter()
        self._all: deque[Entry] = deque(maxlen=limit)
        # Any, because a deque is invariant: each only ever gets entries of its own kind.
        self._by_type: dict[type[Entry], deque[Any]] = {
            Request: self.requests,
            Started: self.started,
            Transition: self.transitions,
            FileMade: self.files,
            FileServed: self.files_served,
            WebhookSent: self.webhooks,
        }
        self._news = asyncio.Event()
        self._lines = path.open("ab") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lines:
            self._lines.close()

    def add(self, entry: Entry) -> None:
        """Write down what happened."""
        self.total += 1
        self.counts[_heading(entry)] += 1
        self._all.append(entry)
        self._by_type[type(entry)].append(entry)
        if self._lines:
            self._lines.write(msgspec.json.encode(entry) + b"\n")
            self._lines.flush()
        self._news.set()

    def entries(self, *, kind: str | None = None, since: int = 0) -> list[Entry]:
        """What is still kept of everything from number `since` (0 is the first ever) on."""
        dropped = self.total - len(self._all)
        kept: Iterable[Entry] = list(self._all)[max(0, since - dropped) :]
        return [entry for entry in kept if kind is None or isinstance(entry, KINDS[kind])]

    async def until(self, fact: Callable[["RequestLog"], T | None], *, within: float = 30.0) -> T:
        """Wait until `fact` of this ledger is true, and return it.

        Looks again after each entry. TimeoutError when `within` real seconds have passed.
        """
        async with asyncio.timeout(within):
            while not (found := fact(self)):
                self._news.clear()
                await self._news.wait()
        return found


def _heading(entry: Entry) -> str:
    match entry:
        case Request():
            return f"request.{entry.operation}.{entry.fault or entry.status}"
        case Transition():
            return f"transition.{entry.status}"
        case Started():
            return f"started.{entry.kind}"
        case WebhookSent():
            return f"webhook.{entry.answer or 'none'}"
        case _:
            return str(entry.__struct_config__.tag)
