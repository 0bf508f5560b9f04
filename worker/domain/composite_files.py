"""Keeps the name under which a composite's file was announced. Pure.

A composite has one file of each media. Its name is `output_file_name`, or the end of its URL while
the API does not give that name. So the name may change between two answers, although the file is
the same. A second name would count as a second file.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from recording_schemas import Kind, Media
from worker.domain.file_names import media_of
from worker.domain.file_search import hash_of
from worker.domain.recording import Observation
from worker.domain.track_files import TrackFile

AUDIO_SUFFIX: Final = "-audio"
"""The end of the name that the worker gives to an audio file without a name."""


def with_announced_names(
    kind: Kind | None, observation: Observation, announced: Sequence[str]
) -> Observation:
    """The observation with the announced name of each file of a composite.

    Several files of one media keep their own names, because it is unknown which of them is which.
    """
    if kind != "composite" or not announced or not observation.files:
        return observation
    files = tuple(_renamed(file, observation.files, announced) for file in observation.files)
    if files == observation.files:
        return observation
    # The next list is compared with this one before its files are renamed.
    listed_hash = hash_of(observation.files)
    return msgspec.structs.replace(observation, files=files, listed_hash=listed_hash)


def _renamed(file: TrackFile, files: Sequence[TrackFile], announced: Sequence[str]) -> TrackFile:
    media = file.media_kind
    names = [name for name in announced if _media_of(name) == media]
    listed = [other for other in files if other.media_kind == media]
    if len(names) != 1 or len(listed) != 1:
        return file
    return msgspec.structs.replace(file, file_name=names[0])


def _media_of(name: str) -> Media:
    return "audio" if name.endswith(AUDIO_SUFFIX) else media_of(name)
