"""What can go wrong while a file is copied. The class of an error decides what happens next.

    ArchiveError
    ├── SourceDenied        the download URL is not valid any more   → read a new URL, then again
    ├── SourceUnavailable   the file cannot be had now               → later
    ├── SourceDoubtful      one answer says that the file is lost    → later; give up if it stays so
    ├── StorageUnavailable  the storage does not answer              → later
    ├── StorageRefused      the storage said no: 401, 403, 404 …     → later, and counted
    │   └── ObjectMissing   there is no such object: 404
    ├── CopyDiffers         the object is not what was sent          → again
    └── FileLeaseLost       another replica may have the file now    → nothing

No text contains the query of a URL, a user name or a password.
"""

from worker.domain.errors import RecordingWorkerError


class ArchiveError(RecordingWorkerError):
    """A file was not copied. `code` is a slug for programs, `message` is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class SourceDenied(ArchiveError):
    """The source answered 401, 403, 404, 410 or another 4xx: a fresh URL is needed."""


class SourceUnavailable(ArchiveError):
    """The source did not answer, broke off, or sent something else than a whole file."""


class SourceDoubtful(ArchiveError):
    """The file is empty or too large, or cannot be read from a valid and permitted URL.

    Its URL is not allowed, no valid one exists, or it leads to a forbidden address, such as a
    private one. One wrong answer of the API, a name server, a proxy or the source can cause this.
    It counts when it is repeated often enough.
    """


class StorageUnavailable(ArchiveError):
    """The storage did not answer, or answered that it cannot take the object now."""


class StorageRefused(ArchiveError):
    """The storage refused the object."""


class ObjectMissing(StorageRefused):
    """The storage answered 404: there is no such object, or no such bucket."""


class CopyDiffers(ArchiveError):
    """The stored object has another size or checksum than the bytes that were sent."""


class FileLeaseLost(ArchiveError):
    """This replica lost the file because it was frozen or cut off. Another one may copy it."""
