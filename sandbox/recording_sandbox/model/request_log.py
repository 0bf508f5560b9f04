"""A log of requests and of the sandbox's actions. Tests and campaigns compare results with it."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from recording_sandbox.model.log_entries import (
    KINDS,
    FileEntry,
    FileServedEntry,
    LogEntry,
    RequestEntry,
    StartedEntry,
    TransitionEntry,
    WebhookEntry,
)

T = TypeVar("T")


class RequestLog:
    """All entries in the order in which they happened, and those of each kind.

    `limit` bounds how many of each kind are kept; `counts` and `total` include the dropped ones.
    Each entry is also written to `path`, as one JSON line.
    """

    def __init__(self, *, limit: int | None = None, path: Path | None = None) -> None:
        self.requests: deque[RequestEntry] = deque(maxlen=limit)
        self.started: deque[StartedEntry] = deque(maxlen=limit)
        self.transitions: deque[TransitionEntry] = deque(maxlen=limit)
        self.files: deque[FileEntry] = deque(maxlen=limit)
        self.files_served: deque[FileServedEntry] = deque(maxlen=limit)
        self.webhooks: deque[WebhookEntry] = deque(maxlen=limit)
        self.total = 0
        self.counts: Counter[str] = Counter()
        self._all: deque[LogEntry] = deque(maxlen=limit)
        # Any, because a deque is invariant. Each deque gets entries of one kind only.
        self._by_type: dict[type[LogEntry], deque[Any]] = {
            RequestEntry: self.requests,
            StartedEntry: self.started,
            TransitionEntry: self.transitions,
            FileEntry: self.files,
            FileServedEntry: self.files_served,
            WebhookEntry: self.webhooks,
        }
        self._added = asyncio.Event()
        self._lines = path.open("ab") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._lines:
            self._lines.close()

    def add(self, entry: LogEntry) -> None:
        """Add an entry, count it, and write it to the file if there is one."""
        self.total += 1
        self.counts[_count_key(entry)] += 1
        self._all.append(entry)
        self._by_type[type(entry)].append(entry)
        if self._lines:
            self._lines.write(msgspec.json.encode(entry) + b"\n")
            self._lines.flush()
        self._added.set()

    def entries(self, *, kind: str | None = None, since: int = 0) -> list[LogEntry]:
        """The kept entries from number `since` on (the first ever has 0), of one kind or all."""
        dropped = self.total - len(self._all)
        kept_entries: Iterable[LogEntry] = list(self._all)[max(0, since - dropped) :]
        return [entry for entry in kept_entries if kind is None or isinstance(entry, KINDS[kind])]

    async def until(self, fact: Callable[["RequestLog"], T | None], *, within: float = 30.0) -> T:
        """Wait until `fact(log)` is true, and return its value. It is evaluated after each entry.

        Raises TimeoutError after `within` real seconds.
        """
        async with asyncio.timeout(within):
            while not (found := fact(self)):
                self._added.clear()
                await self._added.wait()
        return found


def _count_key(entry: LogEntry) -> str:
    match entry:
        case RequestEntry():
            return f"request.{entry.operation}.{entry.fault or entry.status}"
        case TransitionEntry():
            return f"transition.{entry.status}"
        case StartedEntry():
            return f"started.{entry.kind}"
        case WebhookEntry():
            return f"webhook.{entry.response_status or 'none'}"
        case _:
            return str(entry.__struct_config__.tag)
