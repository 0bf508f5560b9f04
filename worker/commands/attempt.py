"""What a command's function is given, and what it returns."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from worker.realtimekit import Priority, RealtimeKit
from worker.recording import Origin, Recording, Seen
from worker.snapshot import Snapshot


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a command: what its claim told, and what it may use.

    `called_at` is when an earlier attempt may have asked the API to start; `may_call` says
    whether a start may be asked for now. `known` are the recordings the command may mean.
    """

    api: RealtimeKit
    app: str
    now: Callable[[], datetime]
    origin: Origin
    called_at: datetime | None = None
    may_call: bool = True
    known: tuple[Recording, ...] = ()
    start_state: str | None = None
    starts_pending: int = 0
    storage_profiles: Mapping[str, Mapping[str, object]] = {}

    def reading(self) -> RealtimeKit:
        """The API for what must be looked up first: fresh commands need not wait for that."""
        return self.api.at(Priority.READ, patient=False)

    def saw(self, snapshot: Snapshot, asked_at: datetime, origin: Origin | None = None) -> Seen:
        """A snapshot as this attempt's contribution to the state."""
        return Seen(
            snapshot=snapshot,
            observed_by="command",
            asked_at=asked_at,
            observed_at=self.now(),
            app=self.app,
            origin=origin,
        )


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A command executed: the recordings it was about, and what the API told of them."""

    recording_ids: tuple[str, ...]
    seen: tuple[Seen, ...] = ()
