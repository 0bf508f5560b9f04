"""Fills the archive's tables in the transaction that adds the events of a recording.

So a file is queued if and only if its `file_ready` event is committed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import (
    CloudEvent,
    Completed,
    FileReady,
    FileUrlRenewed,
    ParticipantWithoutFile,
    StatusChanged,
)
from worker.domain.file_search import is_ready
from worker.domain.recording import Observation, Recording, RecordingEvent
from worker.domain.recording_events import described_files
from worker.store.archive_history import insert_statuses, note_earlier_statuses
from worker.store.archive_updates import (
    AGAIN,
    INDEXES,
    NEW_URL,
    UNPUBLISHED_URL,
    named,
    urgent_from,
)
from worker.store.database.archive_schema import (
    QUEUED,
    archive_files,
    archive_recordings,
)
from worker.store.database.dialects import strip_nul
from worker.store.database.notifications import notify_on_commit

URL_LIFE_SECONDS: Final = 7 * 86_400.0
"""A URL without an expiry counts as valid for this long: the API keeps files for seven days."""


def take_note(
    connection: sa.Connection,
    after: Recording,
    events: Sequence[RecordingEvent],
    observation: Observation,
    names: Sequence[str],
) -> None:
    """Note the facts of one observation that the archive needs.

    `after` is the state after `events`, `names` are all files that are announced by then.
    """
    now = observation.observed_at.timestamp()
    _note_statuses(connection, after, events)
    for event in events:
        if isinstance(event, FileReady):
            _insert_file(connection, after, event, now)
    renewed = [event for event in events if isinstance(event, FileUrlRenewed)]
    _note_urls(connection, renewed, observation, now)
    if observation.archives_again:
        _queue_again(connection, after, observation, names, now)
    _note_unpublished_urls(connection, after, observation, names, now)
    if observation.participants is not None:
        participants = msgspec.json.encode(observation.participants).decode()
        _change_recording(connection, after, participants=participants)
    for event in events:
        if isinstance(event, Completed):
            _note_completion(connection, after, event, now)


def note_earlier_events(
    connection: sa.Connection,
    recording: Recording,
    new: Sequence[FileReady],
    events: Sequence[CloudEvent],
    now: float,
) -> None:
    """Queue files that were announced before, and note the facts of earlier `events`.

    The caller has locked the recording.
    """
    note_earlier_statuses(connection, recording.recording_id, events)
    for file in new:
        _insert_file(connection, recording, file, now)
    if recording.completed:
        completions = [event.data for event in events if isinstance(event.data, Completed)]
        without_file = _encoded(completions[-1].participants_without_file) if completions else None
        _change_recording(connection, recording, without_file=without_file, completed_at=now)
        settle_manifest(connection, recording.recording_id, now)


def settle_manifest(connection: sa.Connection, recording_id: str, now: float) -> None:
    """Queue the manifest if the recording is complete and none of its files is queued.

    A replica that is writing it keeps it, so that no older manifest replaces a newer one.
    """
    is_free = archive_recordings.c.owner.is_(None)
    due_at = sa.case((is_free, now), else_=archive_recordings.c.manifest_due_at)
    queued = sa.exists().where(archive_files.c.recording_id == recording_id, QUEUED)
    settled = connection.execute(
        sa.update(archive_recordings)
        .where(
            archive_recordings.c.recording_id == recording_id,
            archive_recordings.c.completed_at.is_not(None),
            ~queued,
        )
        .values(manifest_due_at=due_at, changes=archive_recordings.c.changes + 1)
    )
    if settled.rowcount:
        notify_on_commit(connection, "archive")


def _note_statuses(
    connection: sa.Connection, after: Recording, events: Sequence[RecordingEvent]
) -> None:
    first = after.sequence - len(events) + 1
    statuses = {
        number: event
        for number, event in enumerate(events, start=first)
        if isinstance(event, StatusChanged)
    }
    insert_statuses(connection, after.recording_id, statuses)


def _insert_file(connection: sa.Connection, after: Recording, file: FileReady, now: float) -> None:
    is_external = file.download_url is None
    connection.execute(
        sa.insert(archive_files).values(
            recording_id=after.recording_id,
            file_index=file.file_index,
            app=after.app,
            round=1,
            attempts=0,
            refusals=0,
            denials=0,
            **_content(file, now),
            state="external" if is_external else "queued",
            due_at=None if is_external else now,
        )
    )
    if not is_external:
        notify_on_commit(connection, "archive")


def _content(file: FileReady, now: float) -> dict[str, Any]:
    without_url = msgspec.structs.replace(file, download_url=None)
    return {
        "file": msgspec.json.encode(without_url).decode(),
        "queued_at": now,
        **_url_columns(file.download_url, file.download_url_expiry, now),
    }


def _url_columns(url: str | None, expiry: datetime | None, now: float) -> dict[str, Any]:
    expires_at = expiry.timestamp() if expiry else now + URL_LIFE_SECONDS
    return {
        "download_url": strip_nul(url),
        "expires_at": expires_at,
        "urgent_at": urgent_from(expires_at, now),
    }


def _note_urls(
    connection: sa.Connection,
    events: Sequence[FileUrlRenewed],
    observation: Observation,
    now: float,
) -> None:
    """Make queued files due if they have new URLs, unless a replica is copying them.

    If the archive requested the URL because another file of the recording was denied, it makes a
    file due only if the file's URL has expired. Otherwise denied files would make each other due
    forever.
    """
    if not events:
        return
    expired_by = _ANY_TIME if observation.observed_by == "command" else now
    connection.execute(
        NEW_URL,
        [
            {
                "id": event.recording_id,
                "index": event.file_index,
                "now": now,
                "expired_by": expired_by,
                **named(_url_columns(event.download_url, event.download_url_expiry, now)),
            }
            for event in events
        ],
    )
    notify_on_commit(connection, "archive")


_ANY_TIME: Final = 1e300


def _note_unpublished_urls(
    connection: sa.Connection,
    after: Recording,
    observation: Observation,
    names: Sequence[str],
    now: float,
) -> None:
    """Replace the URLs of queued files, even by URLs that expire no later.

    There is no event, because subscribers need no such URL. But the API may have signed it with
    another key, if the earlier URLs are denied.
    """
    expiry = observation.snapshot.download_url_expiry
    if not observation.renews_urls or expiry is None or expiry.timestamp() <= now:
        return
    files = [
        {
            "id": after.recording_id,
            "index": file.file_index,
            "new_download_url": strip_nul(file.download_url),
            "new_expires_at": expiry.timestamp(),
            "new_urgent_at": urgent_from(expiry.timestamp(), now),
        }
        for file in _announced(after, observation, names)
        if file.download_url is not None
    ]
    if files:
        connection.execute(UNPUBLISHED_URL, files)


def _announced(after: Recording, observation: Observation, names: Sequence[str]) -> list[FileReady]:
    """The announced files that can be downloaded, as the observation shows them."""
    known = set(names)
    files = [
        file
        for file in observation.files or ()
        if file.file_name in known and is_ready(file, after.kind, observation.snapshot.storage)
    ]
    return described_files(after, files, observation, names)


def _queue_again(
    connection: sa.Connection,
    after: Recording,
    observation: Observation,
    names: Sequence[str],
    now: float,
) -> None:
    """Queue every file that has a URL, even if it was archived or has failed.

    A replica that is copying a file keeps it, so that two do not write one object at the same time.
    If there is no file to copy, only the manifest is written again.
    """
    files = _announced(after, observation, names)
    known = set(connection.execute(INDEXES, {"id": after.recording_id}).scalars())
    again = [
        {
            "id": after.recording_id,
            "index": file.file_index,
            "now": now,
            **named(_content(file, now)),
        }
        for file in files
        if file.file_index in known and file.download_url is not None
    ]
    if again:
        connection.execute(AGAIN, again)
    for file in files:
        if file.file_index not in known:
            _insert_file(connection, after, file, now)
    if after.completed:
        people = observation.without_file
        known_people = {} if people is None else {"without_file": _encoded(people)}
        _change_recording(connection, after, completed_at=now, **known_people)
        settle_manifest(connection, after.recording_id, now)
    if files:
        notify_on_commit(connection, "archive")


def _note_completion(
    connection: sa.Connection, after: Recording, event: Completed, now: float
) -> None:
    without_file = _encoded(event.participants_without_file)
    _change_recording(connection, after, without_file=without_file, completed_at=now)
    settle_manifest(connection, after.recording_id, now)


def _encoded(people: Sequence[ParticipantWithoutFile] | None) -> str | None:
    return None if people is None else msgspec.json.encode(people).decode()


def _change_recording(connection: sa.Connection, after: Recording, **values: Any) -> None:  # noqa: ANN401 - columns of different types
    changed = connection.execute(
        sa.update(archive_recordings)
        .where(archive_recordings.c.recording_id == after.recording_id)
        .values(**values)
    )
    if not changed.rowcount:
        row = {"recording_id": after.recording_id, "app": after.app, "changes": 0, "attempts": 0}
        connection.execute(sa.insert(archive_recordings).values(**row, **values))
