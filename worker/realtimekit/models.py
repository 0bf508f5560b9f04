"""What the API tells besides snapshots. Members are None where it said nothing."""

from datetime import datetime

import msgspec

from worker.domain.snapshot import RecordingSnapshot


class RecordingPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list of recordings.

    `last` is true when there is nothing to be had from the next page. `unreadable` counts the
    items left out because they lack an id or have a status nobody knows.
    """

    recordings: tuple[RecordingSnapshot, ...]
    total_count: int | None = None
    end_offset: int | None = None
    last: bool = True
    unreadable: int = 0


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One live period of a meeting. `status` is `LIVE` or `ENDED`, times are aware."""

    session_id: str
    meeting_id: str | None = None
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    live_participants: int | None = None


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the list of sessions; `last` as in `RecordingPage`."""

    sessions: tuple[Session, ...]
    total_count: int | None = None
    last: bool = True


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registered webhook: where the API sends which events."""

    webhook_id: str
    url: str
    name: str | None = None
    events: tuple[str, ...] = ()
    enabled: bool | None = None
