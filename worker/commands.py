"""What each command asks of the API: one function per command.

They read the claim, call the API and return what they saw. They write nothing: the caller commits
what they return, so that a command's effects and its outcome become durable together.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from recording_schemas import (
    Command,
    Kind,
    PauseRecording,
    ResumeRecording,
    StartRecording,
    StartTrackRecording,
    Status,
    StopRecording,
    SyncRecording,
)
from worker.errors import Conflict, NotFound, NotYet, OutcomeUnknown, Refused
from worker.harvest import read_whole
from worker.realtimekit import RealtimeKit
from worker.recording import LIVE, Origin, Recording, Seen
from worker.snapshot import Snapshot

CLOCKS_DIFFER: Final = timedelta(seconds=5)
"""How far the API's clock may be from ours when a recording is matched with a start."""

Action = Literal["stop", "pause", "resume"]
Targeted = StopRecording | PauseRecording | ResumeRecording


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


async def start_track_recording(command: StartTrackRecording, attempt: Attempt) -> Done:
    """Start a track recording, or adopt the one that an earlier attempt started."""
    return await _start(
        attempt, command.meeting_id, "track", lambda: _start_track(command, attempt)
    )


async def start_recording(command: StartRecording, attempt: Attempt) -> Done:
    """Start a composite recording, or adopt the one that an earlier attempt started."""
    return await _start(
        attempt, command.meeting_id, "composite", lambda: _start_composite(command, attempt)
    )


async def stop_recording(command: StopRecording, attempt: Attempt) -> Done:
    """Stop; what has ended already counts as stopped."""
    return await _act(command, attempt, "stop")


async def pause_recording(command: PauseRecording, attempt: Attempt) -> Done:
    """Pause; what is paused already counts."""
    return await _act(command, attempt, "pause")


async def resume_recording(command: ResumeRecording, attempt: Attempt) -> Done:
    """Resume; what is recording already counts."""
    return await _act(command, attempt, "resume")


async def sync_recording(command: SyncRecording, attempt: Attempt) -> Done:
    """Read a recording whole, whoever started it."""
    known = attempt.known[0] if attempt.known else None
    seen = await read_whole(
        attempt.api,
        command.recording_id,
        known,
        app=attempt.app,
        observed_by="command",
        now=attempt.now,
    )
    return Done(recording_ids=(command.recording_id,), seen=(seen,))


HANDLERS: Final[Mapping[type, Callable[[Any, Attempt], Awaitable[Done]]]] = {
    StartTrackRecording: start_track_recording,
    StartRecording: start_recording,
    StopRecording: stop_recording,
    PauseRecording: pause_recording,
    ResumeRecording: resume_recording,
    SyncRecording: sync_recording,
}
"""What the worker does, at one glance."""


async def execute(command: Command, attempt: Attempt) -> Done:
    """Run the command's function. Raises the errors of `worker.errors`."""
    return await HANDLERS[type(command)](command, attempt)


async def _start_track(command: StartTrackRecording, attempt: Attempt) -> Snapshot:
    return await attempt.api.start_track(command.body())


async def _start_composite(command: StartRecording, attempt: Attempt) -> Snapshot:
    body = command.body()
    if command.storage_profile is not None:
        body = {**body, "storage_config": _profile(command.storage_profile, attempt)}
    return await attempt.api.start_composite(body)


def _profile(name: str, attempt: Attempt) -> Mapping[str, object]:
    profile = attempt.storage_profiles.get(name)
    if profile is None:
        raise Refused(
            "unknown_storage_profile",
            f"storage_profile {name!r} is not configured on this worker",
            field="storage_profile",
        )
    return profile


async def _start(
    attempt: Attempt, meeting_id: str, kind: Kind, call: Callable[[], Awaitable[Snapshot]]
) -> Done:
    asked_at = attempt.now()
    snapshot = await _started_before(attempt, meeting_id, kind)
    if snapshot is None:
        if not attempt.may_call:
            raise OutcomeUnknown(
                "start_unconfirmed", "an earlier call may still turn out to have been executed"
            )
        snapshot = await _call_or_adopt(attempt, meeting_id, kind, call)
    given = msgspec.structs.replace(
        snapshot, kind=kind, meeting_id=snapshot.meeting_id or meeting_id
    )
    return Done(
        recording_ids=(snapshot.recording_id,),
        seen=(attempt.saw(given, asked_at, attempt.origin),),
    )


async def _call_or_adopt(
    attempt: Attempt, meeting_id: str, kind: Kind, call: Callable[[], Awaitable[Snapshot]]
) -> Snapshot:
    try:
        return await call()
    except Conflict:
        # What stands in the way may be our own, started by a call whose answer was lost.
        snapshot = await _started_before(attempt, meeting_id, kind)
        if snapshot is None:
            raise
        return snapshot


async def _started_before(attempt: Attempt, meeting_id: str, kind: Kind) -> Snapshot | None:
    """The recording that an earlier attempt of this start began, if the API lists one.

    Only one start of a meeting and kind is attempted at a time, so a recording of that kind,
    invoked since our first call and owned by no other command, is ours. Of several the earliest:
    whoever came later met ours.
    """
    if attempt.called_at is None:
        return None
    since = attempt.called_at - CLOCKS_DIFFER
    owned = {
        one.recording_id
        for one in attempt.known
        if one.origin and one.start_id != attempt.origin.start_id
    }
    listed = await _all_of_meeting(attempt.api, meeting_id, ())
    ours = [
        (one.invoked_time, one.recording_id, one)
        for one in listed
        if one.recording_id not in owned
        and one.kind in {kind, None}
        and one.start_reason != "RECORD_ON_START"
        and one.invoked_time is not None
        and one.invoked_time >= since
    ]
    return min(ours)[2] if ours else None


async def _all_of_meeting(
    api: RealtimeKit, meeting_id: str, statuses: tuple[Status, ...]
) -> list[Snapshot]:
    found: list[Snapshot] = []
    page_no = 1
    while True:
        page = await api.list(meeting_id=meeting_id, statuses=statuses, page_no=page_no)
        found += page.recordings
        if page.last:
            return found
        page_no += 1


async def _act(command: Targeted, attempt: Attempt, action: Action) -> Done:
    ids, seen = [], []
    for target in await _targets(command, attempt):
        ids.append(target.recording_id)
        if action == "stop" and target.status in _STOPPED:
            continue
        asked_at = attempt.now()
        snapshot = await _act_on(attempt.api, target.recording_id, action)
        seen.append(attempt.saw(snapshot, asked_at))
    return Done(recording_ids=tuple(ids), seen=tuple(seen))


_STOPPED: Final = frozenset({Status.UPLOADING, Status.UPLOADED, Status.ERRORED})


class _Target(msgspec.Struct, frozen=True):
    recording_id: str
    status: Status | None = None


async def _targets(command: Targeted, attempt: Attempt) -> list[_Target]:
    if command.recording_id is not None:
        return [_known_target(attempt) or _Target(command.recording_id)]
    if command.start_id is not None:
        return [_started_target(command.start_id, attempt)]
    assert command.meeting_id is not None  # noqa: S101 - exactly one of the three is given
    return await _targets_of_meeting(command.meeting_id, command.kind, attempt)


def _known_target(attempt: Attempt) -> _Target | None:
    for one in attempt.known:
        return _Target(one.recording_id, None if one.concluded else one.status)
    return None


def _started_target(start_id: str, attempt: Attempt) -> _Target:
    target = _known_target(attempt)
    if target is not None:
        return target
    if attempt.start_state == "done":
        raise Refused("start_failed", f"the start command {start_id!r} ended without a recording")
    raise NotYet("start_unknown", f"no start command {start_id!r} has been executed")


async def _targets_of_meeting(
    meeting_id: str, kind: Kind | None, attempt: Attempt
) -> list[_Target]:
    if attempt.starts_pending:
        raise NotYet("start_pending", "a start command of this meeting is still being executed")
    kinds = {one.recording_id: one.kind for one in attempt.known}
    listed = await _all_of_meeting(attempt.api, meeting_id, tuple(sorted(LIVE)))
    return [
        _Target(one.recording_id, one.status)
        for one in listed
        if kind is None or kinds.get(one.recording_id, one.kind) == kind
    ]


async def _act_on(api: RealtimeKit, recording_id: str, action: Action) -> Snapshot:
    try:
        return await api.act(recording_id, action)
    except Refused as refused:
        return await _judge(api, recording_id, action, refused)


_REACHED: Final[Mapping[Action, frozenset[Status]]] = {
    "stop": _STOPPED,
    "pause": frozenset({Status.PAUSED}),
    "resume": frozenset({Status.RECORDING}),
}


async def _judge(api: RealtimeKit, recording_id: str, action: Action, refused: Refused) -> Snapshot:
    """The API refused: because it is so already, because it is too early, or for good?"""
    try:
        snapshot = await api.get(recording_id)
    except NotFound:
        raise refused from None
    if snapshot.status in _REACHED[action]:
        return snapshot
    if snapshot.status is Status.INVOKED:
        raise NotYet(_TOO_EARLY[action], refused.message) from refused
    raise refused


_TOO_EARLY: Final[Mapping[Action, str]] = {
    "stop": "not_stoppable",
    "pause": "not_pausable",
    "resume": "not_resumable",
}
