"""The input and the result of an operation."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from worker.budget.priorities import Priority
from worker.commands.operations.call_time import began_at, first_call_by_api_clock, is_since
from worker.commands.operations.people import PeopleFinder
from worker.domain.command_keys import StartState, slots_of_recording
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.times import utc
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.session import BeforeSend


class OperationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The recordings that an operation acted on, and the observations of the API's answers.

    `replay_ids` are the recordings whose events are to be published again.
    """

    recording_ids: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    replay_ids: tuple[str, ...] = ()


class Progress:
    """The recordings that an operation acted on so far.

    They count even if the operation fails or times out. `may_have_called` is set right before the
    call of a start.
    """

    def __init__(self) -> None:
        self.may_have_called = False
        self._recording_ids: list[str] = []
        self._observations: list[Observation] = []

    def add(self, recording_id: str, observation: Observation | None = None) -> None:
        """Note that the operation acted on this recording."""
        self._recording_ids.append(recording_id)
        if observation is not None:
            self.observe(observation)

    def observe(self, observation: Observation) -> None:
        """Note an observation of a recording that the operation need not have acted on."""
        self._observations.append(observation)

    def result(self) -> OperationResult:
        """Everything that was noted."""
        return OperationResult(
            recording_ids=tuple(self._recording_ids), observations=tuple(self._observations)
        )


class SessionWait(msgspec.Struct, frozen=True, kw_only=True):
    """The wait of a start for its meeting's session.

    `has_waited`: the start was parked before. `is_over`: it may not wait any longer.
    """

    has_waited: bool
    is_over: bool


class OperationContext(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a command: the API, and what the claim found in the store.

    check_deadline  raises DeadlinePassed if the command's deadline has passed
    confirm_lease   raises LeaseLost if the claim is not fresh and another replica may have the
                    command
    keep_intent     commits which recordings a command is about to act on, after the observations of
                    those that it adopts; raises LeaseLost if another replica has the command
    find_replayable finds those of some recordings that still have an event in the outbox
    find_starting   finds the slots in which an unfinished start may have begun a recording, and
                    when the start first called
    find_start_id   finds the id of the start that began a recording; None if no start did
    called_at       when an earlier attempt may first have called the API to start, else None
    begins_by       when the recording of a start begins at the latest
    may_call        whether a start may be called now
    known           the recordings that the command may mean
    start_state     the state of the start that the command names; None if it names none, or if the
                    named start never came
    people          finds whom a track start records; None if the command names no people
    session_wait    how the start waits for its meeting's session; None if it does not wait
    starts_pending  how many unfinished starts of the meeting the command must wait for
    has_acted       whether an earlier attempt acted on a recording, or the command has cancelled
                    starts that were never sent
    progress        where the operation adds each recording that it acted on
    archives        whether the worker has an archive
    """

    api: RealtimeKitClient
    app: str
    now: Callable[[], datetime]
    start_context: StartContext
    check_deadline: Callable[[], None]
    confirm_lease: BeforeSend
    keep_intent: Callable[[Sequence[str], Sequence[Observation]], Awaitable[None]]
    find_replayable: Callable[[Collection[str]], Awaitable[frozenset[str]]]
    find_starting: Callable[[Collection[str]], Awaitable[Mapping[str, float]]]
    find_start_id: Callable[[str], Awaitable[str | None]]
    called_at: datetime | None = None
    begins_by: datetime | None = None
    may_call: bool = True
    known: tuple[Recording, ...] = ()
    start_state: StartState | None = None
    people: PeopleFinder | None = None
    session_wait: SessionWait | None = None
    starts_pending: int = 0
    has_acted: bool = False
    progress: Progress = msgspec.field(default_factory=Progress)
    storage_profiles: Mapping[str, Mapping[str, object]] = {}
    archives: bool = False

    def start_api(self) -> RealtimeKitClient:
        """The API for the call of a start. The call is not sent if the claim may be lost, or after
        the deadline.

        From now on the call counts as one that may have been sent.
        """
        self.progress.may_have_called = True
        return self.api.with_check(self._check_start)

    def control_api(self, priority: Priority) -> RealtimeKitClient:
        """The API for the calls of a stop, pause or resume. None is sent after the deadline."""
        return self.api.with_priority(priority).with_check(self._check_control)

    async def _check_start(self) -> None:
        await self.confirm_lease()
        self.check_deadline()

    async def _check_control(self) -> None:
        self.check_deadline()

    def background_api(self) -> RealtimeKitClient:
        """The API for a search before a call. The calls of other commands go first."""
        return self.api.with_priority(Priority.READ, patient=False)

    async def may_be_of_start(self, snapshot: RecordingSnapshot) -> bool:
        """Whether an unfinished start may have begun the recording.

        Only that start may adopt it. Otherwise its first events would lack the start's `start_id`,
        `metadata` and correlation id. If the recording began before the start's first call, another
        program started it.
        """
        slots = slots_of_recording(self.app, snapshot)
        if not slots:
            return False
        first_calls = (await self.find_starting(slots)).values()
        if not first_calls:
            return False
        began = began_at(snapshot)
        first_call = first_call_by_api_clock(
            utc(min(first_calls)), self.now(), self.api.server_time()
        )
        return began is None or is_since(began, first_call)

    def observe_changes(self, snapshots: Iterable[RecordingSnapshot], asked_at: datetime) -> None:
        """Note each known recording whose status in this answer differs from the stored one.

        A sweep may never see that status, because the operation's own call may end it.
        """
        known = {recording.recording_id: recording.status for recording in self.known}
        for snapshot in snapshots:
            status = known.get(snapshot.recording_id)
            is_documented = snapshot.unknown_status is None
            if status is not None and is_documented and snapshot.status is not status:
                self.progress.observe(self.observation(snapshot, asked_at))

    def observation(
        self, snapshot: RecordingSnapshot, asked_at: datetime, start: StartContext | None = None
    ) -> Observation:
        """An answer of the API as an observation by this command.

        `asked_at` is the time before the request. Only starts pass `start`.
        """
        return Observation(
            snapshot=snapshot,
            observed_by="command",
            asked_at=asked_at,
            observed_at=self.now(),
            app=self.app,
            start=start,
        )
