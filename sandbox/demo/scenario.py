"""The meeting that is recorded: who is there, what is commanded, and when."""

import asyncio
from typing import Final

import msgspec

from recording_schemas import (
    CloudEvent,
    Command,
    Completed,
    Outcome,
    PauseRecording,
    ResumeRecording,
    StartTrackRecording,
    Status,
    StatusChanged,
    StopRecording,
    TrackLayer,
    TrackLayers,
)
from sandbox.demo.messages import Messages
from sandbox.demo.timeline import Timeline
from sandbox.model.meeting import Participant
from sandbox.model.meetings import Meetings

FILE_NAME_PREFIX: Final = "weekly_sync_q4"
START_ID: Final = "weekly-sync-q4-start"
WAIT_SECONDS: Final = 20.0
BEAT_SECONDS: Final = 1.0
"""How long, in real time, people talk between two turns of the story."""


class Participants(msgspec.Struct, frozen=True, kw_only=True):
    """Ana stays, Ben leaves and comes back, Cleo is not on the list of those to be recorded."""

    meeting_id: str
    ana: Participant
    ben: Participant
    cleo: Participant


def create_meeting(meetings: Meetings) -> Participants:
    """The three meet."""
    meeting = meetings.create(title="Weekly sync", participants=("ana", "ben", "cleo"))
    ana, ben, cleo = meeting.participants.values()
    return Participants(meeting_id=meeting.id, ana=ana, ben=ben, cleo=cleo)


def build_commands(cast: Participants) -> dict[str, Command]:
    """The commands by their types."""
    layer = TrackLayer(media_kind="audio", file_name_prefix=FILE_NAME_PREFIX)
    commands: tuple[Command, ...] = (
        StartTrackRecording(
            id=START_ID,
            meeting_id=cast.meeting_id,
            user_ids=(cast.ana.id, cast.ben.id),
            layers=TrackLayers(default=layer),
        ),
        PauseRecording(id="weekly-sync-q4-pause", start_id=START_ID),
        ResumeRecording(id="weekly-sync-q4-resume", start_id=START_ID),
        StopRecording(id="weekly-sync-q4-stop", start_id=START_ID),
    )
    return {command.command_type: command for command in commands}


async def run_scenario(
    cast: Participants, meetings: Meetings, messages: Messages, timeline: Timeline
) -> None:
    """Play it to its end. Raises TimeoutError, naming what did not happen."""
    commands = build_commands(cast)

    async def command(kind: str, expected: tuple[Status, ...]) -> None:
        timeline.say("command", _in_words(commands[kind]), command=commands[kind])
        await messages.send(commands[kind])
        await messages.until(
            lambda events: _follow(statuses(events), expected),
            within=WAIT_SECONDS,
            what=" → ".join(expected),
        )

    timeline.say("meeting", "ana, ben and cleo meet; ana and ben are to be recorded")
    await command("start_track_recording", (Status.RECORDING,))
    await asyncio.sleep(BEAT_SECONDS)
    timeline.say("meeting", "ben leaves")
    meetings.leave(cast.meeting_id, cast.ben.id)
    await asyncio.sleep(BEAT_SECONDS)
    timeline.say("meeting", "ben is back")
    meetings.join(cast.meeting_id, cast.ben.id)
    await asyncio.sleep(BEAT_SECONDS)
    await command("pause_recording", (Status.RECORDING, Status.PAUSED))
    await asyncio.sleep(BEAT_SECONDS)
    await command("resume_recording", (Status.RECORDING, Status.PAUSED, Status.RECORDING))
    await asyncio.sleep(BEAT_SECONDS)
    await command("stop_recording", (Status.UPLOADED,))
    await messages.until(_is_complete, within=WAIT_SECONDS, what="recording.completed")
    await messages.until(
        lambda events: outcomes(events).keys() >= {one.id for one in commands.values()},
        within=WAIT_SECONDS,
        what="the outcome of every command",
    )


def statuses(events: list[CloudEvent]) -> list[Status]:
    """Every status that was told, in the order it was, repeats of an event left out."""
    return [
        event.data.status for event in deduplicated(events) if isinstance(event.data, StatusChanged)
    ]


def outcomes(events: list[CloudEvent]) -> dict[str, Outcome]:
    """The outcome of each command by the command's id."""
    found = [event.data for event in events if isinstance(event.data, Outcome)]
    return {outcome.command_id: outcome for outcome in found}


def deduplicated(events: list[CloudEvent]) -> list[CloudEvent]:
    """Each event the first time it came: a worker may publish one again under the same id."""
    return list({event.id: event for event in reversed(events)}.values())[::-1]


def _follow(told: list[Status], expected: tuple[Status, ...]) -> bool:
    """Whether the expected ones were told in that order; others may lie between them."""
    rest = iter(told)
    return all(status in rest for status in expected)


def _is_complete(events: list[CloudEvent]) -> bool:
    return any(isinstance(event.data, Completed) for event in events)


def _in_words(command: Command) -> str:
    if isinstance(command, StartTrackRecording):
        return f"{command.command_type} user_ids=[ana, ben] prefix={FILE_NAME_PREFIX}"
    return f"{command.command_type} start_id={START_ID}"
