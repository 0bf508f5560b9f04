"""The files of recordings that were announced, in their order, and the URL that each had last.

A URL permits the download, so the table has a hash of it.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.domain.track_files import TrackFile
from worker.domain.url_renewals import PublishedUrl, url_hash
from worker.store.database.dialects import strip_nul
from worker.store.database.schema import files


def known_files(
    connection: sa.Connection, recording_id: str
) -> tuple[tuple[str, ...], dict[str, PublishedUrl]]:
    """The names of the announced files in their order, and the URL of each name."""
    rows = connection.execute(
        sa.select(files.c.file_name, files.c.url_hash, files.c.url_expires_at)
        .where(files.c.recording_id == recording_id)
        .order_by(files.c.file_index)
    ).all()
    return tuple(row[0] for row in rows), {row[0]: PublishedUrl(row[1], row[2]) for row in rows}


def add_files(
    connection: sa.Connection,
    recording_id: str,
    known_count: int,
    new: Sequence[TrackFile],
    observation: Observation,
) -> None:
    """Add the new files behind those that are known."""
    if new:
        connection.execute(
            sa.insert(files),
            [
                {
                    "recording_id": recording_id,
                    "file_index": index,
                    "file_name": file.file_name,
                    "user_id": strip_nul(file.user_id),
                    "found_at": observation.observed_at.timestamp(),
                    **_url_columns(file, observation),
                }
                for index, file in enumerate(new, start=known_count + 1)
            ],
        )


def note_renewals(
    connection: sa.Connection,
    recording_id: str,
    renewed: Sequence[TrackFile],
    observation: Observation,
) -> None:
    """Keep the new URLs of files that are known."""
    for file in renewed:
        connection.execute(
            sa.update(files)
            .where(files.c.recording_id == recording_id, files.c.file_name == file.file_name)
            .values(_url_columns(file, observation))
        )


def _url_columns(file: TrackFile, observation: Observation) -> dict[str, Any]:
    expiry = observation.snapshot.download_url_expiry
    return {
        "url_hash": url_hash(file.download_url),
        "url_expires_at": expiry.timestamp() if expiry and file.download_url else None,
    }
