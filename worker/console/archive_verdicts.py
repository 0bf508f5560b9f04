"""Describes the state of a recording's copies in the archive, in sentences. Pure."""

from collections.abc import Iterator, Sequence

from recording_schemas import ErrorInfo
from worker.cli.text import counted
from worker.console.verdicts import Verdict, VerdictLevel
from worker.domain.archive import ArchiveFile
from worker.store.admin.archive_pages import ManifestState

REFUSED = "storage_refused"


def archive_verdicts(files: Sequence[ArchiveFile], manifest: ManifestState | None) -> list[Verdict]:
    """The state of each copy and of the manifest, problems first. Empty without an archive."""
    to_copy = [file for file in files if file.state != "external"]
    return [
        *_given_up(to_copy),
        *_waiting(to_copy),
        *_manifest(manifest),
        *_archived(to_copy),
    ]


def _given_up(files: Sequence[ArchiveFile]) -> Iterator[Verdict]:
    failed = [file for file in files if file.state == "failed"]
    if failed:
        text = f"{_share(failed, files)} could not be archived"
        yield Verdict("bad", f"{text}, and the worker gave up.{_last_error(failed)}")


def _waiting(files: Sequence[ArchiveFile]) -> Iterator[Verdict]:
    queued = [file for file in files if file.state == "queued"]
    refused = [file for file in queued if file.last_error and file.last_error.code == REFUSED]
    failing = [file for file in queued if file.last_error and file.last_error.code != REFUSED]
    fresh = [file for file in queued if file.last_error is None]
    if refused:
        text = f"The archive's storage refuses {_share(refused, files)}. The worker tries again."
        yield Verdict("bad", text + _last_error(refused))
    if failing:
        text = f"{_share(failing, files)} could not be archived yet. The worker tries again."
        yield Verdict("note", text + _last_error(failing))
    if fresh:
        yield Verdict("wait", f"{_share(fresh, files)} will be copied to the archive.")


def _manifest(manifest: ManifestState | None) -> Iterator[Verdict]:
    if manifest is None or manifest.due_at is None or manifest.last_error is None:
        return
    level: VerdictLevel = "bad" if manifest.last_error.code == REFUSED else "note"
    text = "The manifest could not be written yet. The worker tries again."
    yield Verdict(level, text + _words(manifest.last_error))


def _archived(files: Sequence[ArchiveFile]) -> Iterator[Verdict]:
    if files and all(file.state == "archived" for file in files):
        yield Verdict("good", f"The archive has {counted(len(files), 'copy', 'copies')}.")


def _share(part: Sequence[ArchiveFile], files: Sequence[ArchiveFile]) -> str:
    return f"{len(part)} of {counted(len(files), 'file')}"


def _last_error(files: Sequence[ArchiveFile]) -> str:
    return next((_words(file.last_error) for file in files if file.last_error), "")


def _words(error: ErrorInfo) -> str:
    return f" {error.code}: {error.message}"
