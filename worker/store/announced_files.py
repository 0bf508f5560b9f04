"""The announced files of recordings, in their order, and the last URL of each.

A URL permits the download, so the table has only its hash.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from worker.domain.recording import Observation
from worker.domain.track_files import TrackFile
from worker.domain.url_renewals import PublishedUrl, url_hash
from worker.store.database.bulk import bulk_insert
from worker.store.database.dialects import among, strip_nul
from worker.store.database.schema import files


class AnnouncedFiles:
    """The announced files of the recordings of one transaction.

    All are read with one statement, and new ones are written with one statement by `save`: many
    recordings may end in one transaction. Their rows in `recordings` must be locked.
    """

    def __init__(self, connection: sa.Connection, recording_ids: Collection[str]) -> None:
        self._connection = connection
        self._urls: dict[str, dict[str, PublishedUrl]] = {}
        self._names: dict[str, list[str]] = {}
        self._new: list[dict[str, Any]] = []
        self._renewed: list[tuple[str, str, dict[str, Any]]] = []
        rows = connection.execute(_FILES, {"ids": recording_ids}).all() if recording_ids else ()
        for recording_id, name, hashed, expires_at in rows:
            self._note(recording_id, name, PublishedUrl(hashed, expires_at))

    def known(self, recording_id: str) -> tuple[tuple[str, ...], dict[str, PublishedUrl]]:
        """The names of the announced files in their order, and the URL of each name."""
        return tuple(self._names.get(recording_id, ())), dict(self._urls.get(recording_id, {}))

    def add(self, recording_id: str, new: Sequence[TrackFile], observation: Observation) -> None:
        """Add the new files behind those that are known."""
        for file in new:
            columns = _url_columns(file, observation)
            self._note(recording_id, file.file_name, _published(columns))
            self._new.append(
                {
                    "recording_id": recording_id,
                    "file_index": len(self._names[recording_id]),
                    "file_name": file.file_name,
                    "user_id": strip_nul(file.user_id),
                    "found_at": observation.observed_at.timestamp(),
                    **columns,
                }
            )

    def renew(
        self, recording_id: str, renewed: Sequence[TrackFile], observation: Observation
    ) -> None:
        """Keep the new URLs of files that are known."""
        for file in renewed:
            columns = _url_columns(file, observation)
            self._urls[recording_id][file.file_name] = _published(columns)
            self._renewed.append((recording_id, file.file_name, columns))

    def save(self) -> None:
        """Write what was added and renewed."""
        _insert(self._connection, self._new)
        if self._renewed:
            self._connection.execute(_RENEW, list(self._renewals()))

    def _renewals(self) -> Iterator[dict[str, Any]]:
        # By their numbers: no index has their names, and a recording may have thousands of files.
        numbers = {
            recording_id: {name: number for number, name in enumerate(names, start=1)}
            for recording_id, names in self._names.items()
        }
        for recording_id, name, columns in self._renewed:
            yield {
                "id": recording_id,
                "index": numbers[recording_id][name],
                "hash": columns["url_hash"],
                "expires_at": columns["url_expires_at"],
            }

    def _note(self, recording_id: str, name: str, url: PublishedUrl) -> None:
        self._names.setdefault(recording_id, []).append(name)
        self._urls.setdefault(recording_id, {})[name] = url


_FILES: Final = (
    sa.select(files.c.recording_id, files.c.file_name, files.c.url_hash, files.c.url_expires_at)
    .where(among(files.c.recording_id, "ids"))
    .order_by(files.c.recording_id, files.c.file_index)
)
_insert: Final = bulk_insert(files)
_RENEW: Final = (
    sa.update(files)
    .where(files.c.recording_id == sa.bindparam("id"), files.c.file_index == sa.bindparam("index"))
    .values(url_hash=sa.bindparam("hash"), url_expires_at=sa.bindparam("expires_at"))
)


def _published(columns: Mapping[str, Any]) -> PublishedUrl:
    return PublishedUrl(columns["url_hash"], columns["url_expires_at"])


def _url_columns(file: TrackFile, observation: Observation) -> dict[str, Any]:
    expiry = observation.snapshot.download_url_expiry
    return {
        "url_hash": url_hash(file.download_url),
        "url_expires_at": expiry.timestamp() if expiry and file.download_url else None,
    }
