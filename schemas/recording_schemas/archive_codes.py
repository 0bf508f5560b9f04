"""The codes of the archive: of `archive_recording`, and of files that were not archived."""

from typing import Final

from recording_schemas.error_code import ErrorCode, Resend


def _unarchived(code: str, when: str, remedy: str, resend: Resend) -> ErrorCode:
    return ErrorCode(code=code, places=("archive",), when=when, remedy=remedy, resend=resend)


ARCHIVE_CODES: Final = (
    ErrorCode(
        code="archive_off",
        places=("rejected",),
        when="The command is `archive_recording`, and the worker has no archive.",
        remedy="Set `WORKER_ARCHIVE_URL` on the worker.",
        resend="unchanged",
    ),
    _unarchived(
        "url_expired",
        "The file's URL expired before the file was copied, and the API gives no new one.",
        "Nothing. RealtimeKit deletes files after seven days.",
        "never",
    ),
    _unarchived(
        "source_denied",
        "The file's storage denies the download (401, 403, 404 or 410).",
        "If the event is `final`, the API gave no URL that works. Else the worker gets a new URL.",
        "archive_again",
    ),
    _unarchived(
        "source_refused",
        "The file may not be fetched: its URL is not https, leads to a private address, or "
        "redirects too often.",
        "If the address is right, set `WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES`.",
        "archive_again",
    ),
    _unarchived(
        "source_too_large",
        "The file is larger than `WORKER_ARCHIVE_MAX_FILE_BYTES`.",
        "Raise `WORKER_ARCHIVE_MAX_FILE_BYTES`.",
        "archive_again",
    ),
    _unarchived(
        "source_unavailable",
        "The file could not be downloaded: no connection, an answer 5xx, or no bytes for "
        "`WORKER_ARCHIVE_TIMEOUT_SECONDS`.",
        "Check the network between the worker and the file's storage.",
        "file_by_worker",
    ),
    _unarchived(
        "storage_unavailable",
        "The archive's storage could not be reached, or failed (5xx, 429).",
        "Check the storage and the network.",
        "file_by_worker",
    ),
    _unarchived(
        "storage_refused",
        "The archive's storage refuses the file (401, 403, 404 or another answer that says no).",
        "Check that the bucket exists and that the worker's credentials may write under the "
        "prefix of `WORKER_ARCHIVE_URL`.",
        "file_by_worker",
    ),
    _unarchived(
        "copy_differs",
        "The copy's size or checksum differs from the downloaded file.",
        "If it happens again and again, check the storage and what stands before it.",
        "file_by_worker",
    ),
)
