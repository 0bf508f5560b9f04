"""Times in events are those of the API, and durations and people agree with them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tests.oracle.evidence import Evidence, Json, Received
from tests.oracle.truth import Recording

EXACT_SECONDS: Final = 0.002
"""The API writes milliseconds."""
SEEN_SECONDS: Final = 2.0
"""After so long, lists of participants show everybody who has joined."""


def check_times(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    for recording_id, events in evidence.events().items():
        recording = evidence.truth.recordings.get(recording_id)
        for event in events if recording is not None else ():
            assert recording is not None
            if event.kind == "recording.status_changed.v1":
                yield from _wrong_times(event.data, recording)
            elif event.kind == "recording.file_ready.v1":
                yield from _wrong_moment(event.data)
            elif event.kind == "recording.completed.v1":
                yield from _wrong_presence(event, recording)


def _wrong_times(data: Json, recording: Recording) -> Iterator[str]:
    expected = {
        "invoked_time": recording.began,
        "started_time": recording.first("RECORDING"),
        "stopped_time": recording.first("UPLOADING", "UPLOADED"),
    }
    for name, right in expected.items():
        if data[name] is None:
            continue
        told = datetime.fromisoformat(data[name]).timestamp()
        if right is None or abs(told - right) > EXACT_SECONDS:
            yield f"{recording.id} has the {name} {data[name]} instead of {right}"
    started, stopped = expected["started_time"], expected["stopped_time"]
    duration = data["recording_duration"]
    if duration is not None and (
        started is None or stopped is None or duration != round(stopped - started)
    ):
        yield f"{recording.id} has the recording_duration {duration}"


def _wrong_moment(data: Json) -> Iterator[str]:
    """The name of a track's file ends with the moment of its beginning in milliseconds."""
    digits = data["file_name"].rpartition(".")[0].rpartition("_")[2]
    if data["kind"] != "track" or not digits.isdigit() or data["recorded_at"] is None:
        return
    told = datetime.fromisoformat(data["recorded_at"]).timestamp()
    if abs(told - int(digits) / 1000) > EXACT_SECONDS:
        yield f"{data['file_name']} has the recorded_at {data['recorded_at']}"


def _wrong_presence(event: Received, recording: Recording) -> Iterator[str]:
    people = {person.user_id: person for person in recording.meeting.people}
    for absentee in event.data["participants_without_file"] or ():
        person = people.get(absentee["user_id"])
        stays = person.stays if person else []
        if absentee["joined"] and not stays:
            yield f"{recording.id} says that {absentee['user_id']} joined, who did not"
        begin, end = recording.first("RECORDING"), recording.first("UPLOADING", "UPLOADED")
        if begin is None or end is None or end > event.at - SEEN_SECONDS:
            continue
        was_there = any(
            stay.joined < begin and (stay.left is None or stay.left >= end) for stay in stays
        )
        if was_there and not absentee["joined"]:
            yield f"{recording.id} says that {absentee['user_id']} did not join, who did"
