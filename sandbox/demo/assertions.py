"""Whether the demo showed what it promises. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from recording_schemas import CloudEvent, CommandSucceeded, Completed
from sandbox.demo.scenario import FILE_NAME_PREFIX, Participants, outcomes
from sandbox.demo.tracks import Track
from sandbox.model.log_entries import FileEntry

TOLERANCE_SECONDS: Final = 0.1


def find_deviations(
    cast: Participants, events: list[CloudEvent], tracks: Sequence[Track], made: Iterable[FileEntry]
) -> list[str]:
    """What is not as promised, a sentence each; nothing when all is well.

    `made` is what the API says it recorded, against which the files are held.
    """
    return [
        *_of_outcomes(events),
        *_of_owners(cast, tracks),
        *_of_files(tracks, {one.name: one.seconds for one in made}),
        *_of_completion(events, len(tracks)),
    ]


def _of_outcomes(events: list[CloudEvent]) -> list[str]:
    return [
        f"the command {outcome.command_id} did not succeed: {outcome}"
        for outcome in outcomes(events).values()
        if not isinstance(outcome, CommandSucceeded)
    ]


def _of_owners(cast: Participants, tracks: Sequence[Track]) -> list[str]:
    expected = Counter(
        {
            (cast.ana.custom_participant_id, cast.ana.id): 1,
            (cast.ben.custom_participant_id, cast.ben.id): 2,
        }
    )
    found = Counter((track.custom_participant_id, track.user_id) for track in tracks)
    if found == expected:
        return []
    return [f"expected one file of ana and two of ben, and got {_counted(found)}"]


def _counted(found: Counter[tuple[str | None, str | None]]) -> str:
    return ", ".join(f"{count} of {owner} ({user})" for (owner, user), count in found.items())


def _of_files(tracks: Sequence[Track], made: dict[str, float]) -> list[str]:
    wrong = []
    for track in tracks:
        if not track.file_name.startswith(f"{FILE_NAME_PREFIX}_"):
            wrong.append(f"{track.file_name} does not begin with {FILE_NAME_PREFIX}_")
        recorded = made.get(track.file_name)
        if recorded is None:
            wrong.append(f"{track.file_name} is no file that was recorded")
        elif abs(track.seconds - recorded) > TOLERANCE_SECONDS:
            wrong.append(f"{track.file_name} has {track.seconds} s, recorded were {recorded} s")
    return wrong


def _of_completion(events: list[CloudEvent], files: int) -> list[str]:
    counts = {event.data.file_count for event in events if isinstance(event.data, Completed)}
    return [] if counts == {files} else [f"completed with {counts} files, and {files} announced"]
