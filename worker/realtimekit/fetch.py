"""Several requests for one result: a list with all its pages, a recording with file owners."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from recording_schemas import Kind, Status
from worker.domain.errors import ApiError, Refused
from worker.domain.file_search import completeness, list_hash
from worker.domain.recording import Completeness, Observation, ObservedBy, Recording
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile, owned_files
from worker.realtimekit.client import PAGE_SIZE, RealtimeKitClient

DEFAULT_FILE_PREFIX: Final = "default"
"""The API begins the file names of a track recording with this if the start has no prefix."""


async def fetch_all_recordings(
    api: RealtimeKitClient, *, meeting_id: str | None = None, statuses: Sequence[Status] = ()
) -> list[RecordingSnapshot]:
    """All recordings that the API lists, each once; with `statuses`, only those in one of them.

    A page without a new recording counts as the last one, because the numbers and the size of pages
    are not documented.
    """
    found: dict[str, RecordingSnapshot] = {}
    page_no, before = 1, -1
    while before < len(found):
        before = len(found)
        page = await api.list_recordings(
            meeting_id=meeting_id, statuses=statuses, page_no=page_no, per_page=PAGE_SIZE
        )
        found |= {snapshot.recording_id: snapshot for snapshot in page.recordings}
        if page.is_last:
            break
        page_no += 1
    return list(found.values())


async def fetch_recording(
    api: RealtimeKitClient,
    recording_id: str,
    known: Recording | None,
    *,
    app: str,
    observed_by: ObservedBy,
    now: Callable[[], datetime],
    files_final: bool = False,
) -> Observation:
    """GET the recording. If it is UPLOADED, also find the owners of its files.

    With `files_final` the files are not read again later. Then the observation has an empty list of
    files also where the API takes back, or does not yet report, that the recording is UPLOADED.

    Raises the errors of the GET. If the participants cannot be read, the files are None, to be read
    again. With `files_final` they are returned without participants, because their names may still
    identify the owners. The participants are not read for a list that is already known.
    """
    asked_at = now()
    snapshot = await api.get_recording(recording_id)
    files: tuple[TrackFile, ...] | None = () if files_final else None
    found: Completeness = "unknown"
    if snapshot.status is Status.UPLOADED:
        files, found = await _fetch_files(api, snapshot, known, files_final=files_final)
    return Observation(
        snapshot=snapshot,
        observed_by=observed_by,
        asked_at=asked_at,
        observed_at=now(),
        app=app,
        files=files,
        completeness=found,
        files_final=files_final,
    )


async def _fetch_files(
    api: RealtimeKitClient,
    snapshot: RecordingSnapshot,
    known: Recording | None,
    *,
    files_final: bool,
) -> tuple[tuple[TrackFile, ...] | None, Completeness]:
    participants: tuple[Participant, ...] = ()
    search = known.file_search if known else None
    current_hash = list_hash((file.name, file.download_url) for file in snapshot.files)
    is_known_list = search is not None and search.list_hash == current_hash
    if snapshot.files and _kind(snapshot, known) == "track" and not is_known_list:
        try:
            participants = await _fetch_participants(api, snapshot, known)
        except Refused:
            pass  # the API would refuse a later request, too
        except ApiError:
            if not files_final:
                return None, "unknown"
    files = _owned_files(snapshot, known, participants)
    if search is not None and is_known_list:
        return files, search.completeness
    return files, completeness(files, snapshot, known, participants)


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
) -> tuple[Participant, ...]:
    session_id = snapshot.session_id or (known.session_id if known else None)
    return () if session_id is None else await api.list_participants(session_id)
