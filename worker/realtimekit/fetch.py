"""Several requests for one result: a list with all its pages, a recording with file owners."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from recording_schemas import Kind, ObservedBy, ParticipantWithoutFile, Status
from worker.domain.attendance import people_without_file
from worker.domain.errors import ApiError, Refused, Unavailable
from worker.domain.file_search import completeness, is_ready, list_hash
from worker.domain.own_storage import with_requested_storage
from worker.domain.recording import Completeness, Observation, Recording
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile, owned_files
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient
from worker.realtimekit.decoding.fields import SHORT_PAGE

DEFAULT_FILE_PREFIX: Final = "default"
"""The API begins the file names of a track recording with this if the start has no prefix."""


async def fetch_all_recordings(
    api: RealtimeKitClient,
    *,
    meeting_id: str | None,
    statuses: Sequence[Status] = (),
    whole: bool = False,
) -> list[RecordingSnapshot]:
    """All recordings that the API lists, each once; only those of `meeting_id` if it is given, and
    with `statuses` only those in one of them.

    A page without a new recording counts as the last one, because the numbers and the size of pages
    are not documented. So does a short page if the API counts no more recordings than were read.
    With `whole`, raises Unavailable if the list has a recording without an id that can
    be read: it may be any recording. A list with nothing but recordings of other meetings is read
    twice, because a proxy may have confused it with the answer to another request.
    """
    found = await _fetch_pages(api, meeting_id, statuses, whole=whole)
    if found and not any(_is_of_meeting(snapshot, meeting_id) for snapshot in found):
        found = await _fetch_pages(api, meeting_id, statuses, whole=whole)
    return [snapshot for snapshot in found if _is_wanted(snapshot, meeting_id, statuses)]


async def _fetch_pages(
    api: RealtimeKitClient, meeting_id: str | None, statuses: Sequence[Status], *, whole: bool
) -> list[RecordingSnapshot]:
    found: dict[str, RecordingSnapshot] = {}
    page_no, before, seen = 1, -1, 0
    while before < len(found):
        before = len(found)
        page = await api.list_recordings(
            meeting_id=meeting_id, statuses=statuses, page_no=page_no, per_page=PAGE_SIZE
        )
        if whole and page.unreadable_count:
            text = f"the list has {page.unreadable_count} recordings without a usable id"
            raise Unavailable("unreadable_response", text)
        found |= {snapshot.recording_id: snapshot for snapshot in page.recordings}
        length = len(page.recordings) + page.unreadable_count
        seen += length
        if length < SHORT_PAGE and page.total_count is not None and seen >= page.total_count:
            break
        page_no += 1
    return list(found.values())


def _is_wanted(
    snapshot: RecordingSnapshot, meeting_id: str | None, statuses: Sequence[Status]
) -> bool:
    """Whether the recording is one of the requested ones.

    An API that ignores a parameter lists other meetings, too. A stop must not end their recordings,
    and a start must not adopt one of them.
    """
    if not _is_of_meeting(snapshot, meeting_id):
        return False
    return not statuses or snapshot.unknown_status is not None or snapshot.status in statuses


def _is_of_meeting(snapshot: RecordingSnapshot, meeting_id: str | None) -> bool:
    listed = snapshot.meeting_id
    return meeting_id is None or listed is None or listed.lower() == meeting_id.lower()


async def fetch_recording(
    api: RealtimeKitClient,
    recording_id: str,
    known: Recording | None,
    *,
    app: str,
    observed_by: ObservedBy,
    now: Callable[[], datetime],
    files_final: bool = False,
    shown: RecordingSnapshot | None = None,
) -> Observation:
    """GET the recording. If it is UPLOADED, also find the owners of its files. If it is a track
    recording that ended as ERRORED, also read its participants, because none of them has a file.

    With `files_final` the files are not read again later. Then the observation has an empty list of
    files even if the API does not report UPLOADED, or no longer does. An empty list is then final,
    and the participants show who has no file.

    Raises the errors of the GET. If the participants cannot be read, the files are None, to be read
    again. With `files_final` they are returned without participants, because their names may still
    identify the owners. The participants are not read for a list that is already known.

    `shown` is an upload's snapshot that a list or a webhook showed. There is no GET if it has all
    expected files.
    """
    asked_at = now()
    snapshot, found = shown, await _fetch_shown(api, shown, known)
    if snapshot is None or found is None:
        snapshot = await api.get_recording(recording_id)
        snapshot = with_requested_storage(snapshot, known, is_last_look=files_final)
        found = _Files(files=() if files_final else None)
        if snapshot.status is Status.UPLOADED:
            found = await _fetch_files(api, snapshot, known, files_final=files_final)
        elif snapshot.status is Status.ERRORED and not (known and known.completed):
            found = await _fetch_people(api, snapshot, known, files_final=files_final)
    return Observation(
        snapshot=snapshot,
        observed_by=observed_by,
        asked_at=asked_at,
        observed_at=now(),
        app=app,
        files=found.files,
        completeness=found.completeness,
        without_file=found.without_file,
        participants=found.participants,
        files_final=files_final,
    )


async def with_people(
    api: RealtimeKitClient, observation: Observation, known: Recording, *, files_final: bool
) -> Observation:
    """The observation with the participants of a track recording that ends without any file.

    With `files_final` it is complete even if they cannot be read, else it then has no files.
    """
    if known.file_count:
        return observation
    found = await _fetch_people(api, observation.snapshot, known, files_final=files_final)
    return msgspec.structs.replace(
        observation,
        files=found.files,
        without_file=found.without_file,
        participants=found.participants,
    )


class _Files(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an observation, None if they must be read again."""

    files: tuple[TrackFile, ...] | None
    completeness: Completeness = "unknown"
    without_file: tuple[ParticipantWithoutFile, ...] | None = None
    participants: tuple[Participant, ...] | None = None


async def _fetch_shown(
    api: RealtimeKitClient, shown: RecordingSnapshot | None, known: Recording | None
) -> _Files | None:
    """The files that `shown` has, with their owners. None if some may be missing, or if they
    were already seen: then only the answer to a GET counts, which is newer."""
    if shown is None or known is None or known.file_search is not None:
        return None
    if shown.session_id is None and known.session_id is None:
        return None
    found = await _fetch_files(api, shown, known, files_final=False)
    return found if found.files and found.completeness == "whole" else None


async def _fetch_files(
    api: RealtimeKitClient,
    snapshot: RecordingSnapshot,
    known: Recording | None,
    *,
    files_final: bool,
) -> _Files:
    search = known.file_search if known else None
    current_hash = list_hash((file.name, file.download_url) for file in snapshot.files)
    if search is not None and search.list_hash == current_hash:
        files = _owned_files(snapshot, known, ())
        return _Files(
            files=files, completeness=search.completeness, without_file=search.without_file
        )
    participants: tuple[Participant, ...] | None = None
    if (snapshot.files or files_final) and _kind(snapshot, known) == "track":
        try:
            participants = await _fetch_participants(api, snapshot, known)
        except ApiError:
            if not files_final:
                return _Files(files=None)
    files = _owned_files(snapshot, known, participants or ())
    return _Files(
        files=files,
        completeness=completeness(files, snapshot, known, participants or ()),
        without_file=_without_file(files, snapshot, known, participants),
        participants=participants,
    )


async def _fetch_people(
    api: RealtimeKitClient,
    snapshot: RecordingSnapshot,
    known: Recording | None,
    *,
    files_final: bool,
) -> _Files:
    """No files, and the people of a track recording who should have some."""
    participants = None
    if _kind(snapshot, known) == "track":
        try:
            participants = await _fetch_participants(api, snapshot, known)
        except ApiError:
            if not files_final:
                return _Files(files=None)
    return _Files(
        files=(),
        without_file=_without_file((), snapshot, known, participants),
        participants=participants,
    )


def _without_file(
    files: tuple[TrackFile, ...],
    snapshot: RecordingSnapshot,
    known: Recording | None,
    participants: tuple[Participant, ...] | None,
) -> tuple[ParticipantWithoutFile, ...] | None:
    """The people without a file that can be fetched. None if unknown.

    A list that lacks files of an earlier one shows nothing. If the participants are not known, it
    is certain only that everybody whom the start named has a file.
    """
    ready = [file for file in files if is_ready(file, "track", snapshot.storage)]
    if known is not None and len(ready) < known.file_count:
        return None
    without_file = people_without_file(ready, snapshot, known, participants or ())
    names_people = known is not None and known.start is not None and known.start.user_ids
    if participants is None and (without_file or not names_people):
        return None
    return without_file


def _owned_files(
    snapshot: RecordingSnapshot, known: Recording | None, participants: tuple[Participant, ...]
) -> tuple[TrackFile, ...]:
    start = known.start if known else None
    return owned_files(
        snapshot.files,
        kind=_kind(snapshot, known),
        prefixes=((start.file_name_prefix if start else None) or DEFAULT_FILE_PREFIX,),
        user_ids=start.user_ids if start else (),
        participants=participants,
    )


def _kind(snapshot: RecordingSnapshot, known: Recording | None) -> Kind:
    """The recording's known kind, unless that was guessed or is missing."""
    if known is None:
        return snapshot.kind or "composite"
    return known.with_kind(snapshot).kind


async def _fetch_participants(
    api: RealtimeKitClient, snapshot: RecordingSnapshot, known: Recording | None
) -> tuple[Participant, ...] | None:
    """All stays in the session. None if the session is not known, or if the API refuses to list
    them: it would refuse a later request, too."""
    session_id = snapshot.session_id or (known.session_id if known else None)
    if session_id is None:
        return None
    try:
        return await api.list_participants(session_id)
    except Refused:
        return None
