"""Opens the storage of the archive, if its libraries are installed."""

from typing import TYPE_CHECKING, Final

from worker.domain.errors import WrongSettings

if TYPE_CHECKING:
    from worker.archive.storage import ArchiveStorage

SLOWEST_UPLOAD_BYTES_PER_SECOND: Final = 128 * 1024
"""With a slower uplink than this, uploads time out."""
_PARTS_AT_ONCE: Final = 2


def open_storage(url: str, *, timeout_seconds: float, part_bytes: int) -> "ArchiveStorage":
    """The storage at the URL of WORKER_ARCHIVE_URL. Nothing is sent yet.

    A request may take `timeout_seconds`, and as long as a slow uplink needs for parts.

    Raises: WrongSettings: the extra `archive` is not installed, or the URL or the provider's
        variables are wrong.
    """
    try:
        from worker.archive.storage import ArchiveStorage
    except ImportError as missing:
        fault = f"WORKER_ARCHIVE_URL needs the extra `archive`, which lacks {missing.name}:"
        raise WrongSettings([f"{fault} install recording-worker[archive]"]) from missing
    uploading = _PARTS_AT_ONCE * part_bytes / SLOWEST_UPLOAD_BYTES_PER_SECOND
    try:
        return ArchiveStorage.open(url, request_timeout_seconds=timeout_seconds + uploading)
    except ValueError as error:
        raise WrongSettings([f"WORKER_ARCHIVE_URL {error}"]) from error
