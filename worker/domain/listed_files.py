"""Uses the files that a list row or a webhook shows, so that they need no read. Pure.

The files of a composite have no owners. So a row or a webhook with them has the same information as
the answer to a GET. The files of a track recording need its session's participants as well.
"""

import msgspec

from recording_schemas import Status
from worker.domain.file_names import is_template
from worker.domain.file_search import completeness
from worker.domain.recording import Observation, Recording
from worker.domain.track_files import owned_files


def with_listed_files(known: Recording | None, observation: Observation) -> Observation:
    """The observation with the files that its snapshot shows of an uploaded composite.

    A file's name identifies it. So its files count only if the snapshot has the name that a GET
    would give them, and the same name as before.
    """
    snapshot = observation.snapshot
    if observation.files is not None or not snapshot.files or observation.missing:
        return observation
    if snapshot.status is not Status.UPLOADED or not _is_composite(known, observation):
        return observation
    name = snapshot.output_file_name
    if name is None or is_template(name) or name != ((known and known.output_file_name) or name):
        return observation
    files = owned_files(snapshot.files, kind="composite", prefixes=(), user_ids=(), participants=())
    return msgspec.structs.replace(
        observation, files=files, completeness=completeness(files, snapshot, known, ())
    )


def _is_composite(known: Recording | None, observation: Observation) -> bool:
    """Whether the kind is certain. If it is guessed, only a GET decides on the owners of the
    files."""
    snapshot = observation.snapshot
    if known is None:
        return snapshot.kind == "composite" and not snapshot.kind_is_guessed
    recording = known.with_kind(snapshot)
    is_certain = not recording.kind_is_guessed and snapshot.kind != "track"
    return is_certain and recording.kind == "composite"
