"""What a command's function is given, and what it returns."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from worker.budget.priorities import Priority
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient


class OperationContext(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a command: what its claim told, and what it may use.

    `called_at` is when an earlier attempt may have asked the API to start; `may_call` says
    whether a start may be asked for now. `known` are the recordings the command may mean.
    """

    api: RealtimeKitClient
    app: str
    now: Callable[[], datetime]
    start_context: StartContext
    called_at: datetime | None = None
    may_call: bool = True
    known: tuple[Recording, ...] = ()
    start_state: str | None = None
    starts_pending: int = 0
    storage_profiles: Mapping[str, Mapping[str, object]] = {}

    def background_api(self) -> RealtimeKitClient:
        """The API for what must be looked up first: fresh commands need not wait for that."""
        return self.api.with_priority(Priority.READ, patient=False)

    def observation(
        self, snapshot: RecordingSnapshot, asked_at: datetime, origin: StartContext | None = None
    ) -> Observation:
        """A snapshot as this attempt's contribution to the state."""
        return Observation(
            snapshot=snapshot,
            observed_by="command",
            asked_at=asked_at,
            observed_at=self.now(),
            app=self.app,
            start=origin,
        )


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """A command executed: the recordings it was about, and what the API told of them."""

    recording_ids: tuple[str, ...]
    observations: tuple[Observation, ...] = ()
