"""Checks the results of the demo. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from recording_sandbox.demo.scenario import FILE_NAME_PREFIX, Participants, outcomes
from recording_sandbox.demo.tracks import Track
from recording_sandbox.model.log_entries import FileEntry
from recording_schemas import CloudEvent, CommandSucceeded, Completed

TOLERANCE_SECONDS: Final = 0.1


def find_deviations(
    participants: Participants,
    events: list[CloudEvent],
    tracks: Sequence[Track],
    recorded: Iterable[FileEntry],
) -> list[str]:
    """One sentence for each deviation. `recorded` are the files that the API says it made."""
    seconds = {file.name: file.seconds for file in recorded}
    return [
        *_failed_commands(events),
        *_wrong_owners(participants, tracks),
        *_wrong_files(tracks, seconds),
        *_wrong_count(events, len(tracks)),
    ]


def _failed_commands(events: list[CloudEvent]) -> list[str]:
    return [
        f"the command {outcome.command_id} did not succeed: {outcome}"
        for outcome in outcomes(events).values()
        if not isinstance(outcome, CommandSucceeded)
    ]


def _wrong_owners(participants: Participants, tracks: Sequence[Track]) -> list[str]:
    ana, ben = participants.ana, participants.ben
    expected = Counter(
        {(ana.custom_participant_id, ana.id): 1, (ben.custom_participant_id, ben.id): 2}
    )
    found = Counter((track.custom_participant_id, track.user_id) for track in tracks)
    if found == expected:
        return []
    counts = ", ".join(f"{count} of {owner} ({user})" for (owner, user), count in found.items())
    return [f"expected one file of ana and two of ben, but got {counts}"]


def _wrong_files(tracks: Sequence[Track], recorded: dict[str, float]) -> list[str]:
    deviations = []
    for track in tracks:
        name, seconds = track.file_name, recorded.get(track.file_name)
        if not name.startswith(f"{FILE_NAME_PREFIX}_"):
            deviations.append(f"{name} does not begin with {FILE_NAME_PREFIX}_")
        if seconds is None:
            deviations.append(f"{name} is not a file that was recorded")
        elif abs(track.seconds - seconds) > TOLERANCE_SECONDS:
            deviations.append(f"{name} is {track.seconds} s long, but {seconds} s were recorded")
    return deviations


def _wrong_count(events: list[CloudEvent], files: int) -> list[str]:
    counts = {event.data.file_count for event in events if isinstance(event.data, Completed)}
    if counts == {files}:
        return []
    return [f"{files} files were announced, but completed with file_count {counts}"]
