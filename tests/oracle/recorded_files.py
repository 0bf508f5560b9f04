"""The files that a recording leaves behind."""

import random
import time
from collections.abc import Iterator
from typing import Final

from tests.oracle.truth import Person, RecordedFile, Recording, Stay

SHORTEST_SECONDS: Final = 0.005
"""The API writes milliseconds. A shorter overlap of a stay and a recording would not show."""


def files_of(recording: Recording, spread: float, dice: random.Random) -> list[RecordedFile]:
    """The files of a recording that is uploaded now. They appear within `spread` seconds."""
    named = _track_files(recording, dice) if recording.kind == "track" else _mixes(recording)
    for file in named:
        file.shown_from = time.time() + dice.uniform(0, spread)
        file.url_from = file.shown_from + dice.choice((0.0, spread / 2))
    return named


def recorded_stays(recording: Recording) -> Iterator[tuple[Person, Stay]]:
    """The stays of the people that it records, as far as they overlap with it."""
    begin, end = recording.first("RECORDING"), recording.first("UPLOADING", "UPLOADED")
    wanted = recording.body.get("user_ids")
    until = end or time.time()
    for person in recording.meeting.people:
        for stay in person.stays:
            is_wanted = wanted is None or person.user_id in wanted
            left = min(stay.left or until, until)
            if (
                is_wanted
                and begin is not None
                and left - max(stay.joined, begin) > SHORTEST_SECONDS
            ):
                yield person, stay


def _track_files(recording: Recording, dice: random.Random) -> list[RecordedFile]:
    prefix = recording.body.get("layers", {}).get("default", {}).get("file_name_prefix", "default")
    files = []
    for person, stay in recorded_stays(recording):
        if not person.silent:
            instant = round(max(stay.joined, recording.began) * 1000)
            stream = dice.choice(("peer", "peer", "screen_share"))
            name = f"{prefix}_{person.user_id}_{stay.peer_id}_{stream}_audio_{instant}.webm"
            file = RecordedFile(name, "audio", 0.0, 0.0, person.user_id, stay.peer_id)
            file.custom_id = person.custom_id
            files.append(file)
    return files


def _mixes(recording: Recording) -> list[RecordedFile]:
    files = [RecordedFile(output_name(recording), "video", 0.0, 0.0)]
    if recording.body.get("audio_config", {}).get("export_file", True):
        files.append(RecordedFile("", "audio", 0.0, 0.0))
    return files


def output_name(recording: Recording) -> str:
    """`output_file_name`: of a track recording only the template of its files' names."""
    if recording.kind == "track":
        return (
            "{{file_name_prefix}}_{{user_id}}_{{peer_id}}_{{stream_kind}}_{{media_kind}}_"
            "{{date_time}}.webm"
        )
    prefix = recording.body.get("file_name_prefix", "room")
    return f"{prefix}_{round(recording.began * 1000)}.mp4"
