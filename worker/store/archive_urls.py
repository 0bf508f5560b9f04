"""The download URLs of queued files.

Each observation of a recording brings them (`archive_intake.py`), but only with the owners of the
files. The archive can use a URL even if the owners cannot be read.
"""

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


def note_urls(connection: sa.Connection, signed: SignedUrls) -> None:
    """Give queued files these URLs, without an event."""
    urgent_at = sa.literal(urgent_from(signed.expires_at, signed.now), sa.Double)
    names = sa.select(files.c.file_index, files.c.file_name).where(
        files.c.recording_id == signed.recording_id
    )
    urls = {strip_nul(name): strip_nul(url) for name, url in signed.urls.items()}
    for index, name in connection.execute(names).all():
        if url := urls.get(name):
            connection.execute(
                sa.update(archive_files)
                .where(
                    is_file(signed.recording_id, index),
                    QUEUED,
                    sa.func.coalesce(archive_files.c.download_url, "") != url,
                )
                .values(
                    download_url=url,
                    expires_at=signed.expires_at,
                    urgent_at=earlier_of(archive_files.c.urgent_at, urgent_at),
                )
            )


def find_url(connection: sa.Connection, recording_id: str, file_index: int) -> str | None:
    """The URL that a file has now; None if it has none."""
    urls = sa.select(archive_files.c.download_url).where(is_file(recording_id, file_index))
    return connection.execute(urls).scalar()
