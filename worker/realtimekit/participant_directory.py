"""Reads the participants of meetings, and caches each read for a burst of commands.

A read is valid for every command that arrived before it began, even if the command waited for long.
The caller names the oldest moment at which the read may have begun. With a moment shortly before
the command's arrival, a burst of commands for one meeting shares one read. With the moment of the
arrival itself, the read has everybody who was added before the command.
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from worker.aio import KeyedLocks
from worker.budget.priorities import Priority
from worker.domain.errors import NotFound, Refused, Unavailable
from worker.domain.meeting_participants import MeetingParticipant, MeetingParticipants
from worker.realtimekit.client import RealtimeKitClient

MAX_PAGES: Final = 200
MAX_PARTICIPANTS: Final = 20_000
"""One read takes at most this many participants of a meeting."""

MAX_PASSES: Final = 2
"""How often the pages are read if rows moved from page to page meanwhile."""

READ_TIMEOUT_SECONDS: Final = 30.0

REMEMBERED_SECONDS: Final = 60.0
MAX_REMEMBERED: Final = 50_000
"""At most this many participants of all meetings together are cached, apart from the last read."""


class PagesEnd(Enum):
    """How a read of all pages ended.

    MOVED: a participant was added or removed meanwhile, so a row may have moved to a page that had
    been read. The API counts another total than before, or more participants than it listed.
    """

    ALL_READ = auto()
    MOVED = auto()
    TOO_MANY = auto()


class ParticipantDirectory:
    """The participants of one app's meetings. Its requests have the priority of commands.

    A read may take `read_timeout` seconds.
    """

    def __init__(
        self,
        api: RealtimeKitClient,
        *,
        now: Callable[[], float] = time.monotonic,
        read_timeout: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self._api = api.with_priority(Priority.COMMAND)
        self.now = now
        """The clock of all moments here, in seconds."""
        self._read_timeout = read_timeout
        self._reads: dict[str, MeetingParticipants] = {}
        self._locks = KeyedLocks()

    async def participants(self, meeting_id: str, *, since: float) -> MeetingParticipants:
        """The participants of the meeting, from a read that began at `since` or later.

        A caller that asks while a read runs waits for it. Raises Refused (NotFound) and
        Unavailable.
        """
        key = meeting_id.lower()
        async with self._locks.hold(key):
            known = self._reads.get(key)
            if known is not None and known.read_at >= since:
                return known
            read = await self._read(meeting_id)
            self._remember(key, read)
            return read

    async def _read(self, meeting_id: str) -> MeetingParticipants:
        read_at = self.now()
        try:
            async with asyncio.timeout(self._read_timeout):
                participants, is_whole = await _read_all(self._api, meeting_id)
        except NotFound:
            raise
        except Refused as refused:
            text = f"the API refused to list the meeting's participants: {refused.message}"
            raise Refused(refused.code, text, http_status=refused.http_status) from refused
        except TimeoutError as error:
            text = f"the meeting's participants were not read in {self._read_timeout:g} seconds"
            raise Unavailable("timeout", text) from error
        return MeetingParticipants(participants, read_at=read_at, is_whole=is_whole)

    def _remember(self, key: str, read: MeetingParticipants) -> None:
        """Cache the read. Drop reads that are too old, and the oldest if there are too many."""
        self._reads.pop(key, None)
        self._reads[key] = read  # behind all older ones
        total = sum(map(len, self._reads.values()))
        for other_key, other in list(self._reads.items())[:-1]:
            is_old = read.read_at - other.read_at > REMEMBERED_SECONDS
            if not (is_old or total > MAX_REMEMBERED):
                break
            total -= len(other)
            del self._reads[other_key]


async def _read_all(
    api: RealtimeKitClient, meeting_id: str
) -> tuple[list[MeetingParticipant], bool]:
    """Everybody on all pages, each once, and whether these are all."""
    found: dict[str, MeetingParticipant] = {}
    end = PagesEnd.MOVED
    for _ in range(MAX_PASSES):
        end = await _read_pages(api, meeting_id, found)
        if end is not PagesEnd.MOVED:
            break
    return list(found.values()), end is not PagesEnd.TOO_MANY


async def _read_pages(
    api: RealtimeKitClient, meeting_id: str, found: dict[str, MeetingParticipant]
) -> PagesEnd:
    """Read every page into `found`.

    A page without another participant is the last one, because the API may ignore `page_no`.
    """
    seen: set[str] = set()
    totals: set[int | None] = set()
    unreadable = 0
    for page_no in range(1, MAX_PAGES + 1):
        page = await api.list_meeting_participants(meeting_id, page_no=page_no)
        before = len(seen)
        unreadable += page.unreadable_count
        totals.add(page.total_count)
        seen.update(person.user_id for person in page.participants)
        found.update((person.user_id, person) for person in page.participants)
        if page.is_last or len(seen) == before:
            has_moved = len(totals) > 1 or len(seen) + unreadable < (page.total_count or 0)
            return PagesEnd.MOVED if has_moved else PagesEnd.ALL_READ
        if len(found) > MAX_PARTICIPANTS:
            break
    return PagesEnd.TOO_MANY
