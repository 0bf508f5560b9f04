"""The scenario: who meets, which commands are sent, and when."""

import asyncio
from typing import Final

import msgspec

from recording_sandbox.demo.timeline import Timeline
from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.model.meeting import Participant
from recording_sandbox.model.meetings import Meetings
from recording_schemas import (
    Archived,
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

FILE_NAME_PREFIX: Final = "weekly_sync_q4"
START_ID: Final = "weekly-sync-q4-start"
EVENT_TIMEOUT_SECONDS: Final = 20.0
STEP_SECONDS: Final = 1.0
"""Real seconds between two steps of the scenario, in which people talk."""


class Participants(msgspec.Struct, frozen=True, kw_only=True):
    """Ana stays. Ben leaves and returns. Cleo is not recorded."""

    meeting_id: str
    ana: Participant
    ben: Participant
    cleo: Participant


def create_meeting(meetings: Meetings) -> Participants:
    """A meeting that the three may join. Its session has not begun."""
    people = ("ana", "ben", "cleo")
    meeting = meetings.create(title="Weekly sync", participants=people, live=False)
    ana, ben, cleo = meeting.participants.values()
    return Participants(meeting_id=meeting.id, ana=ana, ben=ben, cleo=cleo)


def build_commands(participants: Participants) -> dict[str, Command]:
    """The commands of the scenario by their types."""
    layer = TrackLayer(media_kind="audio", file_name_prefix=FILE_NAME_PREFIX)
    commands: tuple[Command, ...] = (
        StartTrackRecording(
            id=START_ID,
            meeting_id=participants.meeting_id,
            custom_participant_ids=(
                participants.ana.custom_participant_id,
                participants.ben.custom_participant_id,
            ),
            wait_for_session=True,
            layers=TrackLayers(default=layer),
        ),
        PauseRecording(id="weekly-sync-q4-pause", start_id=START_ID),
        ResumeRecording(id="weekly-sync-q4-resume", start_id=START_ID),
        StopRecording(id="weekly-sync-q4-stop", start_id=START_ID),
    )
    return {command.command_type: command for command in commands}


async def run_scenario(
    participants: Participants,
    meetings: Meetings,
    client: WorkerClient,
    timeline: Timeline,
    *,
    archives: bool,
) -> None:
    """Run the scenario to its end. Raises TimeoutError with the name of a missing event.

    With `archives` its end is the event of the manifest.
    """
    meeting_id, ben = participants.meeting_id, participants.ben
    commands = build_commands(participants)

    async def reach(*expected: Status) -> None:
        await client.until(
            lambda events: _contains_in_order(statuses(events), expected),
            within=EVENT_TIMEOUT_SECONDS,
            description=" → ".join(expected),
        )

    async def send(command_type: str, *expected: Status) -> None:
        command = commands[command_type]
        timeline.add("command", _describe(command), command=command)
        await client.send(command)
        await reach(*expected)

    await send("start_track_recording")
    timeline.add("meeting", "nobody has joined yet: the start waits")
    await asyncio.sleep(STEP_SECONDS)
    timeline.add("meeting", "ana, ben and cleo meet; ana and ben are to be recorded")
    for person in (participants.ana, ben, participants.cleo):
        meetings.join(meeting_id, person.id)
    await reach(Status.RECORDING)
    await asyncio.sleep(STEP_SECONDS)
    timeline.add("meeting", "ben leaves")
    meetings.leave(meeting_id, ben.id)
    await asyncio.sleep(STEP_SECONDS)
    timeline.add("meeting", "ben comes back")
    meetings.join(meeting_id, ben.id)
    await asyncio.sleep(STEP_SECONDS)
    await send("pause_recording", Status.RECORDING, Status.PAUSED)
    await asyncio.sleep(STEP_SECONDS)
    await send("resume_recording", Status.RECORDING, Status.PAUSED, Status.RECORDING)
    await asyncio.sleep(STEP_SECONDS)
    await send("stop_recording", Status.UPLOADED)
    await _wait_for_all_events(client, {command.id for command in commands.values()})
    if archives:
        await client.until(
            _is_archived, within=EVENT_TIMEOUT_SECONDS, description="the event recording.archived"
        )


async def _wait_for_all_events(client: WorkerClient, command_ids: set[str]) -> None:
    await client.until(
        _is_complete, within=EVENT_TIMEOUT_SECONDS, description="the event recording.completed"
    )
    await client.until(
        lambda events: outcomes(events).keys() >= command_ids,
        within=EVENT_TIMEOUT_SECONDS,
        description="the outcome of every command",
    )


def statuses(events: list[CloudEvent]) -> list[Status]:
    """The published statuses in their order, without repeats of an event."""
    return [
        event.data.status for event in deduplicated(events) if isinstance(event.data, StatusChanged)
    ]


def outcomes(events: list[CloudEvent]) -> dict[str, Outcome]:
    """The outcome of each command by the command's id."""
    data = [event.data for event in events if isinstance(event.data, Outcome)]
    return {outcome.command_id: outcome for outcome in data}


def deduplicated(events: list[CloudEvent]) -> list[CloudEvent]:
    """The first copy of each event. A worker may publish an event again, with the same id."""
    return list({event.id: event for event in reversed(events)}.values())[::-1]


def _contains_in_order(published: list[Status], expected: tuple[Status, ...]) -> bool:
    """Whether the expected statuses were published in this order, with others between them."""
    later = iter(published)
    return all(status in later for status in expected)


def _is_complete(events: list[CloudEvent]) -> bool:
    return any(isinstance(event.data, Completed) for event in events)


def _is_archived(events: list[CloudEvent]) -> bool:
    return any(isinstance(event.data, Archived) for event in events)


def _describe(command: Command) -> str:
    if isinstance(command, StartTrackRecording):
        people = "custom_participant_ids=[ana, ben]"
        return f"{command.command_type} {people} wait_for_session=true prefix={FILE_NAME_PREFIX}"
    return f"{command.command_type} start_id={START_ID}"
