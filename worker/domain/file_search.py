"""Whether the list of a recording's files is complete, and whether it has settled. Pure.

The API reports UPLOADED before it lists every file. Tracks appear one by one, and a file is listed
before it has its URL. The audio file of a composite may follow the video file. `completeness`
compares one list with the expected files. The first row that matches counts:

    recording   what the list and the session show                            the list is
    any         a file has neither a URL nor a place in the customer's        lacking
                storage yet
    composite   a file of each media that the start asked for                 whole
    composite   not each of them, and no file is in the customer's storage    lacking
    composite   started by others or stored elsewhere: video and audio        whole
    composite   started by others or stored elsewhere: only one of them       unknown
    track       an expected stay has no file                                  lacking
    track       each expected stay has a file                                 whole
    track       the stays are not known, an expected user has no file         lacking
    track       the stays are not known                                       unknown

The stays of the users that the start named are expected, or else those of everybody who was there
while it was recorded. A list that is not whole may still have all files that will ever appear,
because a person may have no file. Such a list `has_settled` when two reads, `files_settle` seconds
apart, show the same files. An empty list never settles.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b

from recording_schemas import Kind, Media
from worker.domain.attendance import was_recorded
from worker.domain.recording import Completeness, FileSearch, Observation, Recording
from worker.domain.snapshot import Participant, RecordingSnapshot, Storage
from worker.domain.track_files import TrackFile

BOTH_MEDIA: frozenset[Media] = frozenset({"video", "audio"})
"""The media of a composite recording's files, unless its start says otherwise."""


def is_ready(file: TrackFile, kind: Kind, storage: Storage | None) -> bool:
    """Whether the file can be fetched: by its URL, or from the customer's storage.

    Only composites are stored there. A track that has no URL yet gets one later.
    """
    return file.download_url is not None or (kind == "composite" and storage is not None)


def list_hash(files: Iterable[tuple[str, str | None]]) -> str:
    """A hash of a list of files: of each name, and of whether the file has a URL.

    The URL itself does not count, because each answer may sign it anew.
    """
    # Without NUL characters, because the store removes them from the names.
    lines = sorted(f"{name}\x1f{url is not None}".replace("\x00", "") for name, url in files)
    return blake2b("\x1e".join(lines).encode(errors="replace"), digest_size=8).hexdigest()


def hash_of(files: Sequence[TrackFile]) -> str:
    """The hash of a list of files with owners."""
    return list_hash((file.file_name, file.download_url) for file in files)


def completeness(
    files: Sequence[TrackFile],
    snapshot: RecordingSnapshot,
    known: Recording | None,
    participants: Sequence[Participant],
) -> Completeness:
    """Whether the list has all expected files, by the table of this module."""
    kind = known.with_kind(snapshot).kind if known else snapshot.kind or "composite"
    if not all(is_ready(file, kind, snapshot.storage) for file in files):
        return "lacking"
    if kind == "composite":
        return _composite_completeness(files, known)
    user_ids = known.start.user_ids if known and known.start else ()
    if not participants:
        users = {file.user_id for file in files}
        return "unknown" if users.issuperset(user_ids) else "lacking"
    stays = {
        stay.peer_id
        for stay in participants
        if (not user_ids or stay.user_id in user_ids) and was_recorded(stay, snapshot, known)
    }
    return "whole" if stays <= {file.peer_id for file in files} else "lacking"


def _composite_completeness(files: Sequence[TrackFile], known: Recording | None) -> Completeness:
    requested = frozenset(known.start.media if known and known.start else ())
    if (requested or BOTH_MEDIA) <= {file.media_kind for file in files}:
        return "whole"
    in_storage = any(file.download_url is None for file in files)
    return "unknown" if in_storage or not requested else "lacking"


def search_after(recording: Recording, observation: Observation) -> FileSearch | None:
    """The state of the search after an observation of the files, None if the list is whole.

    An observation without files changes nothing, because an empty list proves nothing.
    """
    search = recording.file_search
    if not observation.files:
        return search
    if observation.completeness == "whole":
        return None
    current_hash = observation.listed_hash or hash_of(observation.files)
    if search is not None and search.list_hash == current_hash:
        return search
    return FileSearch(
        list_hash=current_hash,
        listed_since=observation.observed_at,
        completeness=observation.completeness,
        ended_at=search.ended_at if search else None,
        without_file=observation.without_file,
    )


def has_settled(recording: Recording, observation: Observation, settle: float) -> bool:
    """Whether the list is the same as in a read at least `settle` seconds ago.

    A file that is listed without a URL will get one, so its list has not settled.
    """
    search, files = recording.file_search, observation.files
    if search is None or not files or search.list_hash != hash_of(files):
        return False
    snapshot = observation.snapshot
    kind = recording.with_kind(snapshot).kind
    if not all(is_ready(file, kind, snapshot.storage) for file in files):
        return False
    return observation.asked_at - search.listed_since >= timedelta(seconds=settle)


def settles_at(search: FileSearch, settle: float) -> datetime:
    """When a read can show that the list has settled."""
    return search.listed_since + timedelta(seconds=settle)
