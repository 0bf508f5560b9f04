"""The download URLs of queued files.

Each observation of a recording brings them (`archive_intake.py`), but only with the owners of the
files. A URL serves the archive also when the owners cannot be read.
"""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from worker.store.archive_queue import is_file
from worker.store.archive_updates import earlier_of, urgent_from
from worker.store.database.archive_schema import QUEUED, archive_files
from worker.store.database.dialects import strip_nul
from worker.store.database.schema import files


class SignedUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The URLs of the files of a recording by their names, as the API shows them at `now`.

    Times are seconds since the epoch.
    """

    recording_id: str
    urls: dict[str, str]
    expires_at: float
    now: float


def note_urls(connection: sa.Connection, requests: Sequence[SignedUrls]) -> list[None]:
    """Operation: give queued files these URLs. No event says so."""
    for request in requests:
        urgent_at = sa.literal(urgent_from(request.expires_at, request.now), sa.Double)
        names = sa.select(files.c.file_index, files.c.file_name).where(
            files.c.recording_id == request.recording_id
        )
        urls = {strip_nul(name): strip_nul(url) for name, url in request.urls.items()}
        for index, name in connection.execute(names).all():
            if url := urls.get(name):
                connection.execute(
                    sa.update(archive_files)
                    .where(
                        is_file(request.recording_id, index),
                        QUEUED,
                        sa.func.coalesce(archive_files.c.download_url, "") != url,
                    )
                    .values(
                        download_url=url,
                        expires_at=request.expires_at,
                        urgent_at=earlier_of(archive_files.c.urgent_at, urgent_at),
                    )
                )
    return [None] * len(requests)


def find_urls(connection: sa.Connection, keys: Sequence[tuple[str, int]]) -> list[str | None]:
    """Operation: the URLs that files have now. None if a file has none."""
    return [
        connection.execute(sa.select(archive_files.c.download_url).where(is_file(*key))).scalar()
        for key in keys
    ]
