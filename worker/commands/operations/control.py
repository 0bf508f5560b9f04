"""Stops, pauses and resumes recordings: acts on each one that `control_targets` finds."""

import asyncio
from datetime import datetime
from typing import Final

import msgspec

from recording_schemas import PauseRecording, ResumeRecording, StopRecording
from worker.budget.priorities import Priority
from worker.commands.operations.context import OperationContext, OperationResult
from worker.commands.operations.control_targets import (
    ControlCommand,
    Failure,
    Target,
    find_targets,
    in_meeting,
)
from worker.domain.errors import (
    Contradicted,
    NotYet,
    Refused,
    Unavailable,
)
from worker.domain.recording import STOPPED, Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.actions import (
    TOO_EARLY_CODES,
    Ended,
    Gone,
    act_on_recording,
)
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import Action

MAX_CONCURRENT: Final = 10
"""The worker acts on at most this many recordings of a meeting at a time, so that a slow call
does not delay the others."""

BY_URGENCY: Final = (NotYet, Contradicted, Unavailable, Refused)


async def stop_recording(command: StopRecording, context: OperationContext) -> OperationResult:
    """Stop. A recording that has ended already counts as stopped."""
    return await _control(command, context, "stop")


async def pause_recording(command: PauseRecording, context: OperationContext) -> OperationResult:
    """Pause. A recording that is paused already counts as paused."""
    return await _control(command, context, "pause")


async def resume_recording(command: ResumeRecording, context: OperationContext) -> OperationResult:
    """Resume. A recording that is recording already counts as resumed."""
    return await _control(command, context, "resume")


async def _control(
    command: ControlCommand, context: OperationContext, action: Action
) -> OperationResult:
    """Act on all targets, even if some of them fail. Then raise the most urgent failure."""
    api = context.control_api(Priority.STOP if action == "stop" else Priority.COMMAND)
    targets, failures = await find_targets(command, context, action, api)
    if command.meeting_id is not None:
        targets = await _with_intent(targets, context)
    slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def act_on(target: Target) -> None:
        async with slots:
            try:
                await _act_on(target, command, context, action, api)
            except (NotYet, Refused, Unavailable) as error:
                failures.append(error)

    if len(targets) == 1:  # runs without a separate task
        await act_on(targets[0])
    else:
        attempts = (act_on(target) for target in targets)
        for error in await asyncio.gather(*attempts, return_exceptions=True):
            if error is not None:
                raise error
    if failures:
        raise min(failures, key=_urgency)
    return context.progress.result()


def _urgency(failure: Failure) -> int:
    """The rank of a failure. Failures after which the command may still succeed come first, and
    among them shorter waits before longer ones."""
    return max(rank for rank, kind in enumerate(BY_URGENCY) if isinstance(failure, kind))


async def _with_intent(targets: list[Target], context: OperationContext) -> list[Target]:
    """Commit which recordings the command is about to act on. Unknown ones are adopted before that.

    After a crash they may have ended, and then no list of live recordings shows them.
    """
    to_act_on = [target for target in targets if target.status not in STOPPED]
    if not to_act_on:
        return targets
    unknown = await asyncio.gather(  # at once, so that they share a transaction
        *(
            _marked_if_of_start(target.listed, context)
            for target in to_act_on
            if target.listed is not None and not target.is_known
        )
    )
    await context.keep_intent([target.recording_id for target in to_act_on], unknown)
    adopted = {each.snapshot.recording_id for each in unknown if not each.awaits_start}
    return [
        msgspec.structs.replace(target, is_known=True) if target.recording_id in adopted else target
        for target in targets
    ]


async def _marked_if_of_start(observation: Observation, context: OperationContext) -> Observation:
    """The observation of an unknown recording, marked if an unfinished start may have begun it.

    An observation without the mark adopts the recording. With it, the recording is adopted when the
    start has ended without it.
    """
    awaits_start = await context.may_be_of_start(observation.snapshot)
    return msgspec.structs.replace(observation, awaits_start=awaits_start)


async def _act_on(
    target: Target,
    command: ControlCommand,
    context: OperationContext,
    action: Action,
    api: RealtimeKitClient,
) -> None:
    """Act on one recording, and note in the progress that it was acted on."""
    if action == "stop" and target.status in STOPPED:
        unknown = None if target.is_known else target.listed
        observation = await _marked_if_of_start(unknown, context) if unknown else None
        context.progress.add(target.recording_id, observation)
        return

    def on_answer_lost() -> None:  # perhaps executed, and the next attempt may find it ended
        context.progress.add(target.recording_id)

    def on_read(snapshot: RecordingSnapshot) -> None:
        read = in_meeting(snapshot, command.meeting_id)
        _observe_reason(context.observation(read, asked_at), target, context)

    asked_at = context.now()
    try:
        snapshot = await act_on_recording(
            api, target.recording_id, action, on_answer_lost=on_answer_lost, on_read=on_read
        )
    except Ended as ended:
        if isinstance(ended, Gone) and (target.is_new or target.listed is not None):
            kind = NotYet if target.is_new else Contradicted
            raise kind(TOO_EARLY_CODES[action], _contradiction(target, ended)) from ended
        if command.meeting_id is None:  # a command for a meeting skips what has ended
            raise
    else:
        snapshot, observation = in_meeting(snapshot, command.meeting_id), None
        try:
            observation = await _observation(snapshot, target, context, asked_at)
        finally:  # the store may fail or be too slow, and the recording has been acted on
            context.progress.add(target.recording_id, observation)


def _observe_reason(observation: Observation, target: Target, context: OperationContext) -> None:
    """Note why the API refused to act on a recording that the store has, if that is news."""
    if target.is_known and observation.snapshot.status is not target.status:
        context.progress.observe(observation)


def _contradiction(target: Target, gone: Gone) -> str:
    """Why a 404 does not end the command. The outcome has this text if the wait is over."""
    if target.listed is None:
        return gone.message
    shown = f"the API lists recording {target.recording_id} as {target.status}"
    return f"{shown}, but answers 404 for it: {gone.message}"


async def _observation(
    snapshot: RecordingSnapshot, target: Target, context: OperationContext, asked_at: datetime
) -> Observation:
    observation = context.observation(snapshot, asked_at)
    return observation if target.is_known else await _marked_if_of_start(observation, context)
