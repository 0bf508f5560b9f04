"""What an operation is given, and what it returns."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from worker.budget.priorities import Priority
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.session import BeforeSend


class OperationContext(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a command: the API, and what the claim found in the store.

    called_at       when an earlier attempt may first have called the API to start, else None
    may_call        whether a start may be called now
    known           the recordings that the command may mean
    confirm_lease   raises LeaseLost if another replica may execute the command
    start_state     the inbox state of the start command it names, None if there is none
    starts_pending  how many starts of the meeting are not finished
    """

    api: RealtimeKitClient
    app: str
    now: Callable[[], datetime]
    start_context: StartContext
    called_at: datetime | None = None
    may_call: bool = True
    known: tuple[Recording, ...] = ()
    start_state: str | None = None
    confirm_lease: BeforeSend | None = None
    starts_pending: int = 0
    storage_profiles: Mapping[str, Mapping[str, object]] = {}

    def start_api(self) -> RealtimeKitClient:
        """The API for the call that starts: it is not sent once another replica may call."""
        return self.api.with_check(self.confirm_lease) if self.confirm_lease else self.api

    def background_api(self) -> RealtimeKitClient:
        """The API for a look that precedes a call: other commands' calls go first."""
        return self.api.with_priority(Priority.READ, patient=False)

    def observation(
        self, snapshot: RecordingSnapshot, asked_at: datetime, start: StartContext | None = None
    ) -> Observation:
        """An answer of the API as an observation by this command.

        `asked_at` is from before the request. `start` is given by starts alone.
        """
        return Observation(
            snapshot=snapshot,
            observed_by="command",
            asked_at=asked_at,
            observed_at=self.now(),
            app=self.app,
            start=start,
        )


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that worked: the recordings it acted on, and what the API returned of them."""

    recording_ids: tuple[str, ...]
    observations: tuple[Observation, ...] = ()
