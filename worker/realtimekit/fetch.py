"""Reading to the end: a list with all its pages, a recording with its files and their owners."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from recording_schemas import Status
from worker.domain.errors import ApiError, Refused
from worker.domain.recording import Observation, ObservedBy, Recording
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile, owned_files
from worker.realtimekit.client import RealtimeKitClient

DEFAULT_PREFIX: Final = "default"
"""What the API puts before the file names of a track recording that was given no prefix."""

PER_PAGE: Final = 100


async def fetch_all_recordings(
    api: RealtimeKitClient, *, meeting_id: str | None = None, statuses: Sequence[Status] = ()
) -> list[RecordingSnapshot]:
    """All recordings that the API lists, of these statuses if any are given, each once.

    A page on which nothing is new is taken for the last one: how pages are numbered and how large
    they can be is not documented.
    """
    found: dict[str, RecordingSnapshot] = {}
    page_no, before = 1, -1
    while before < len(found):
        before = len(found)
        page = await api.list_recordings(
            meeting_id=meeting_id, statuses=statuses, page_no=page_no, per_page=PER_PAGE
        )
        found |= {one.recording_id: one for one in page.recordings}
        if page.last:
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
    last_look: bool = False,
) -> Observation:
    """GET the recording; when it is UPLOADED, also find out whose its files are.

    `last_look` says that nobody will look for files again: then there are none as well where the
    API takes back, or has yet to say, that the recording is UPLOADED. Raises what the API raises to
    the GET. When the API cannot tell now who took part, the files are left for another look, and on
    the last one go without: their names may still say whose they are.
    """
    asked_at = now()
    snapshot = await api.get_recording(recording_id)
    files: tuple[TrackFile, ...] | None = () if last_look else None
    if snapshot.status is Status.UPLOADED:
        files = await _files(api, snapshot, known, last_look=last_look)
    return Observation(
        snapshot=snapshot,
        observed_by=observed_by,
        asked_at=asked_at,
        observed_at=now(),
        app=app,
        files=files,
        files_final=last_look,
    )


async def _files(
    api: RealtimeKitClient, snapshot: RecordingSnapshot, known: Recording | None, *, last_look: bool
) -> tuple[TrackFile, ...] | None:
    files = _owned(snapshot, known, ())
    if not _needs_participants(files, snapshot, known):
        return files
    try:
        return _owned(snapshot, known, await _participants(api, snapshot, known))
    except Refused:
        return files
    except ApiError:
        return files if last_look else None


def _owned(
    snapshot: RecordingSnapshot, known: Recording | None, participants: tuple[Participant, ...]
) -> tuple[TrackFile, ...]:
    origin = known.start if known else None
    return owned_files(
        snapshot.files,
        prefixes=((origin.file_name_prefix if origin else None) or DEFAULT_PREFIX,),
        user_ids=origin.user_ids if origin else (),
        participants=participants,
    )


def _needs_participants(
    files: tuple[TrackFile, ...], snapshot: RecordingSnapshot, known: Recording | None
) -> bool:
    """Whether the session can tell more about a track recording's files than they say themselves.

    That is a request for each recording that ends.
    """
    if (known.kind if known else snapshot.kind) != "track":
        return False
    return not all(one.user_id and one.peer_id and one.custom_participant_id for one in files)


async def _participants(
    api: RealtimeKitClient, snapshot: RecordingSnapshot, known: Recording | None
) -> tuple[Participant, ...]:
    session_id = snapshot.session_id or (known.session_id if known else None)
    return () if session_id is None else await api.list_participants(session_id)
