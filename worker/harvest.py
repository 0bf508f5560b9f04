"""Reading one recording whole: its state, and once it is uploaded its files and their owners."""

from collections.abc import Callable
from datetime import datetime

from recording_schemas import Status
from worker.errors import NotFound
from worker.realtimekit import RealtimeKit
from worker.recording import ObservedBy, Recording, Seen
from worker.snapshot import Participant, Snapshot
from worker.track_files import TrackFile, owned_files

DEFAULT_PREFIX = "default"
"""What the API puts before the file names of a track recording that was given no prefix."""


async def read_whole(
    api: RealtimeKit,
    recording_id: str,
    known: Recording | None,
    *,
    app: str,
    observed_by: ObservedBy,
    now: Callable[[], datetime],
    last_look: bool = False,
) -> Seen:
    """GET the recording; when it is UPLOADED, also find out whose its files are.

    `last_look` says that nobody will look for files again. Raises what the API raises; a session
    that the API does not know is no error, its files then have no owner but what their names say.
    """
    asked_at = now()
    snapshot = await api.get(recording_id)
    uploaded = snapshot.status is Status.UPLOADED
    files = await _with_owners(api, snapshot, known) if uploaded else None
    return Seen(
        snapshot=snapshot,
        observed_by=observed_by,
        asked_at=asked_at,
        observed_at=now(),
        app=app,
        files=files,
        files_final=last_look,
    )


async def _with_owners(
    api: RealtimeKit, snapshot: Snapshot, known: Recording | None
) -> tuple[TrackFile, ...]:
    origin = known.origin if known else None
    participants: tuple[Participant, ...] = ()
    session_id = snapshot.session_id or (known.session_id if known else None)
    if _is_track(snapshot, known) and snapshot.files and session_id:
        try:
            participants = await api.participants(session_id)
        except NotFound:
            participants = ()
    return owned_files(
        snapshot.files,
        prefixes=((origin.file_name_prefix if origin else None) or DEFAULT_PREFIX,),
        user_ids=origin.user_ids if origin else (),
        participants=participants,
    )


def _is_track(snapshot: Snapshot, known: Recording | None) -> bool:
    return (known.kind if known else snapshot.kind) == "track"
