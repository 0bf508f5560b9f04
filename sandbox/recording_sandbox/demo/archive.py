"""The archive of the demo: its manifest, read from the folder, checked, and printed as a table."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from recording_sandbox.demo.tables import print_table
from recording_sandbox.demo.tracks import Track
from recording_schemas import Archived, CloudEvent, Manifest, ManifestFile, ManifestParticipant

COLUMNS: Final = ("person", "asked for", "joined", "left", "seconds", "bytes", "SHA-256")
_NO_FILE: Final = ("", "no file", "")


def can_archive() -> bool:
    """Whether this installation has the libraries of the worker's extra `archive`."""
    return find_spec("obstore") is not None and find_spec("botocore") is not None


def archive_settings(folder: Path) -> dict[str, str]:
    """The variables of a worker that archives into a folder, from an emulated API.

    The folder is created, because the worker does not do so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "WORKER_ARCHIVE_URL": folder.as_uri(),
        "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES": "on",
    }


async def read_manifest(events: list[CloudEvent]) -> Manifest:
    """The manifest that the last event of the archive names.

    Raises:
        ValueError: if it cannot be read, or is no manifest.
    """
    *_, archived = (event.data for event in events if isinstance(event.data, Archived))
    try:
        body = await asyncio.to_thread(_path(archived.manifest_url).read_bytes)
        return msgspec.json.decode(body, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"{archived.manifest_url} cannot be read: {error}") from error


async def find_archive_deviations(manifest: Manifest, tracks: Sequence[Track]) -> list[str]:
    """One sentence for each copy that is not the file that was downloaded."""
    copies = {file.file_name: file for file in manifest.files}
    if copies.keys() != {track.file_name for track in tracks}:
        return [f"the manifest has the files {sorted(copies)}"]
    found = [await _deviation(copies[track.file_name], track) for track in tracks]
    return [deviation for deviation in found if deviation]


async def _deviation(copy: ManifestFile, track: Track) -> str | None:
    if copy.archive_url is None:
        return f"{track.file_name} was not archived: {copy.error}"
    body = await asyncio.to_thread(_path(copy.archive_url).read_bytes)
    digests = {hashlib.sha256(body).hexdigest(), copy.sha256, track.sha256}
    return None if len(digests) == 1 else f"the copy of {track.file_name} differs from the file"


def print_manifest(manifest: Manifest) -> None:
    """Print who was there from when to when, and the copy of each stay."""
    print_table(COLUMNS, sorted(_rows(manifest)))


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _rows(manifest: Manifest) -> Iterator[tuple[str, ...]]:
    files = {file.file_name: file for file in manifest.files}
    for person in manifest.participants or ():
        for stay in person.stays:
            times = _time(stay.joined_at), _time(stay.left_at)
            copies = [_copy(files[name]) for name in stay.files] or [_NO_FILE]
            for copy in copies:
                yield *_who(person), *times, *copy


def _who(person: ManifestParticipant) -> tuple[str, str]:
    name = person.custom_participant_id or person.user_id or "?"
    return name, "yes" if person.expected else "no"


def _copy(file: ManifestFile) -> tuple[str, str, str]:
    seconds = "?" if file.duration_seconds is None else f"{file.duration_seconds:.1f}"
    size = "?" if file.size_bytes is None else f"{file.size_bytes:,}"
    return seconds, size, f"{(file.sha256 or '?')[:16]}…"


def _time(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S}" if moment else ""
