"""What the API tells besides snapshots. Members are None where it said nothing."""

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


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A registered webhook: where the API sends which events."""

    webhook_id: str
    url: str
    name: str | None = None
    events: tuple[str, ...] = ()
    enabled: bool | None = None
