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
        "The file's URL expired before the file was copied, and the API gives no new one. The "
        "worker reads the recording ten times before it gives the file up.",
        "Nothing. RealtimeKit deletes files after seven days.",
        "never",
    ),
    _unarchived(
        "url_denied",
        "The API gave new URLs for about a day, and the file's source denied each of them.",
        "Ask RealtimeKit whether the file still exists. If it does, archive it again.",
        "archive_again",
    ),
    _unarchived(
        "no_url",
        "The API has no URL for the file yet.",
        "Nothing, unless it lasts.",
        "file_by_worker",
    ),
    _unarchived(
        "source_denied",
        "The file's source denies the download: 401, 403, 404, 410 or another 4xx.",
        "Nothing. The worker reads the recording again for a new URL.",
        "file_by_worker",
    ),
    _unarchived(
        "source_url_refused",
        "For some minutes, the file's URL was not https, had a user name, or could not be a URL; "
        "or its source redirected to such a URL.",
        "If the URL is right, set `WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES`. Else report it.",
        "archive_again",
    ),
    _unarchived(
        "private_address",
        "For some minutes, the host of the file's URL had an address that is not public.",
        "Check the worker's DNS. If the address is right, set "
        "`WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES`.",
        "archive_again",
    ),
    _unarchived(
        "file_too_large",
        "The file is larger than `WORKER_ARCHIVE_MAX_FILE_BYTES`. The worker gives it up when its "
        "source has reported the same size ten times in a row, within some minutes.",
        "Raise `WORKER_ARCHIVE_MAX_FILE_BYTES`.",
        "archive_again",
    ),
    _unarchived(
        "source_empty",
        "The file's source sends no bytes. The worker asks again for about a day before it gives "
        "the file up.",
        "Ask RealtimeKit whether the file has content. If it does, archive it again.",
        "archive_again",
    ),
    _unarchived(
        "source_unavailable",
        "The file's source answered 5xx, 408 or 429, with headers that make no sense, or with a "
        "web page.",
        "Check the network between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "source_unreachable",
        "No connection to the file's source: its name has no address, or no server answers.",
        "Check DNS, the NetworkPolicy and the proxy of the worker.",
        "file_by_worker",
    ),
    _unarchived(
        "source_silent",
        "The file's source sent nothing for `WORKER_ARCHIVE_TIMEOUT_SECONDS`.",
        "Check the network between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "source_slow",
        "For five minutes, the file's source brought less than "
        "`WORKER_ARCHIVE_MIN_BYTES_PER_SECOND`.",
        "Check the network between the worker and the file's source. If it is so slow, lower "
        "`WORKER_ARCHIVE_MIN_BYTES_PER_SECOND`.",
        "file_by_worker",
    ),
    _unarchived(
        "source_broken",
        "The download broke off several times.",
        "Check the network between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "source_truncated",
        "The download ended before the length that its source had announced.",
        "Nothing, unless it lasts.",
        "file_by_worker",
    ),
    _unarchived(
        "source_without_length",
        "The file's source sends neither the length of the file nor chunks, so an incomplete "
        "file could not be noticed.",
        "Check the proxy between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "source_not_resumed",
        "The file changed during the download, or its source cannot resume.",
        "Nothing, unless it lasts.",
        "file_by_worker",
    ),
    _unarchived(
        "source_compressed",
        "The source compresses the file, although the worker asks for it as it is.",
        "Check the proxy between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "source_redirects",
        "The source redirects more than five times.",
        "Check the proxy between the worker and the file's source.",
        "file_by_worker",
    ),
    _unarchived(
        "storage_unavailable",
        "The archive's storage could not be reached, or failed (5xx, 429).",
        "Check the storage and the network.",
        "file_by_worker",
    ),
    _unarchived(
        "folder_missing",
        "The archive's folder does not exist. The worker does not create it, because its volume "
        "may not be mounted.",
        "Mount the volume, or create the folder for the user of the worker.",
        "file_by_worker",
    ),
    _unarchived(
        "folder_not_mounted",
        "The archive's folder lacks the file `.recording-archive`, which it had before.",
        "Mount the volume of the folder. If it is a new folder on purpose, create the file there.",
        "file_by_worker",
    ),
    _unarchived(
        "storage_refused",
        "The archive's storage refuses the file (401, 403, 404 or another refusal).",
        "Check that the bucket exists and that the worker's credentials may write under the "
        "prefix of `WORKER_ARCHIVE_URL`.",
        "file_by_worker",
    ),
    _unarchived(
        "size_differs",
        "The copy has another size than the bytes that were sent.",
        "If it repeats, check the storage and any proxy in front of it.",
        "file_by_worker",
    ),
    _unarchived(
        "checksum_differs",
        "The copy has other bytes than those that were sent.",
        "If it repeats, check the storage and any proxy in front of it.",
        "file_by_worker",
    ),
)
