"""A folder as the archive of the workers, and what must be true of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from recording_schemas import Archived, FileArchived, Manifest
from tests.fault.published_events import PublishedEvents
from tests.fault.run_record import RunRecord
from worker.archive.folder_mark import MARK


def archive_settings(directory: Path, **more: str) -> dict[str, str]:
    """The settings of workers that archive into a new folder below `directory`."""
    (directory / "archive").mkdir(parents=True, exist_ok=True)
    return {
        "WORKER_ARCHIVE_URL": (directory / "archive").as_uri(),
        "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES": "on",
        "WORKER_ARCHIVE_RETRY_MAX_SECONDS": "0.5",
        "WORKER_ARCHIVE_TIMEOUT_SECONDS": "5",
        **more,
    }


def folder_faults(folder: Path, facts: RunRecord) -> Iterator[str]:
    """One sentence for each stored object that differs from its event or has no event."""
    published = PublishedEvents(facts)
    named: set[Path] = set()
    for event in published.everything():
        match event.data:
            case FileArchived() as copy:
                path = path_of(copy.archive_url)
                named.add(path)
                yield from _copy_faults(path, copy)
            case Archived() as archived:
                path = path_of(archived.manifest_url)
                named.add(path)
                yield from _manifest_faults(path, archived)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in named and path.name != MARK:
            yield f"{path.relative_to(folder)} is in the archive, and no event names it"


def path_of(url: str) -> Path:
    """The file that a `file://` URL names."""
    return Path(unquote(urlsplit(url).path))


def _copy_faults(path: Path, copy: FileArchived) -> Iterator[str]:
    body = path.read_bytes() if path.exists() else b""
    if (len(body), hashlib.sha256(body).hexdigest()) != (copy.size_bytes, copy.sha256):
        yield f"the copy {path.name} is not what its event says"


def _manifest_faults(path: Path, archived: Archived) -> Iterator[str]:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        yield f"the manifest {path} cannot be read: {error}"
        return
    if len(manifest.files) < archived.file_count:
        yield f"the manifest {path} has {len(manifest.files)} files of {archived.file_count}"
