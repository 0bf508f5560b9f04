"""The settings of the archive: where and under which names files are copied, and how fast."""

from typing import Annotated, Final

import msgspec

from worker.domain.archive_keys import KeyTemplate
from worker.domain.storage_url import parse_storage_url
from worker.settings.parsing import Seconds, WholeNumber, switch
from worker.settings.variables import Variable

_GIB: Final = 1_073_741_824


def archive_url(text: str) -> str:
    """Parse the URL of a bucket, container or folder, with an optional prefix.

    The credentials come from the provider's own variables, never from this URL.
    """
    text = text.rstrip("/")
    parse_storage_url(text)
    return text


MAX_PARTS: Final = 10_000
"""S3 takes at most this many parts for one file."""


class ArchiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the archive. It is on if `archive_url` is set."""

    archive_url: Annotated[
        str | None,
        Variable(
            "WORKER_ARCHIVE_URL",
            archive_url,
            "Storage that every finished file is copied to: `s3://bucket/prefix`, "
            "`gs://bucket/prefix`, `az://container/prefix` or `file:///folder`. The folder must "
            "exist: the worker does not create it, and files wait while it is missing. The "
            "credentials come from the provider's own variables and files. If not set, nothing is "
            "copied.",
        ),
    ]
    archive_key: Annotated[
        KeyTemplate,
        Variable(
            "WORKER_ARCHIVE_KEY",
            KeyTemplate.parse,
            "Name of each copy under `WORKER_ARCHIVE_URL`, from `{app}`, `{meeting_id}`, "
            "`{recording_id}`, `{file_name}`, `{kind}`, `{user_id}`, `{custom_participant_id}` and "
            "`{date}`, the UTC day on which the recording started. `{recording_id}` and "
            "`{file_name}` are needed.",
            default="{app}/{meeting_id}/{recording_id}/{file_name}",
        ),
    ]
    archive_manifest_key: Annotated[
        KeyTemplate,
        Variable(
            "WORKER_ARCHIVE_MANIFEST_KEY",
            KeyTemplate.parse_manifest,
            "Name of the manifest of each recording under `WORKER_ARCHIVE_URL`, from `{app}`, "
            "`{meeting_id}`, `{recording_id}`, `{kind}` and `{date}`. `{recording_id}` is needed, "
            "and `.json` at the end.",
            default="{app}/{meeting_id}/{recording_id}/manifest.json",
        ),
    ]
    archive_concurrency: Annotated[
        int,
        Variable(
            "WORKER_ARCHIVE_CONCURRENCY",
            WholeNumber(1, 64, "files"),
            "How many files a replica copies at the same time.",
            default="4",
        ),
    ]
    archive_allow_private_sources: Annotated[
        bool,
        Variable(
            "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES",
            switch,
            "`on` also downloads from private addresses and over plain HTTP. For tests only: "
            "download URLs come from the API.",
            default="off",
        ),
    ]
    archive_max_bytes_per_second: Annotated[
        int | None,
        Variable(
            "WORKER_ARCHIVE_MAX_BYTES_PER_SECOND",
            WholeNumber(1_024, 100 * _GIB, "bytes"),
            "How many bytes a replica may download in a second, for all its copies together. If "
            "not set, there is no limit.",
        ),
    ]
    archive_min_bytes_per_second: Annotated[
        int,
        Variable(
            "WORKER_ARCHIVE_MIN_BYTES_PER_SECOND",
            WholeNumber(0, _GIB, "bytes"),
            "A download that its source keeps below this for five minutes is tried again later, so "
            "that it does not keep other files waiting. `0`: no download is too slow.",
            default="65536",
        ),
    ]
    archive_part_bytes: Annotated[
        int,
        Variable(
            "WORKER_ARCHIVE_PART_BYTES",
            WholeNumber(5_242_880, 536_870_912, "bytes"),
            "Size of one part of an upload. A copy holds a few parts in memory. S3 takes at most "
            "10,000 parts for one file.",
            default="8388608",
        ),
    ]
    archive_max_file_bytes: Annotated[
        int,
        Variable(
            "WORKER_ARCHIVE_MAX_FILE_BYTES",
            WholeNumber(1, 5_120 * _GIB, "bytes"),
            "Size limit of a file. A larger file is not archived. At most 10,000 times "
            "`WORKER_ARCHIVE_PART_BYTES`.",
            default="68719476736",
        ),
    ]
    archive_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_ARCHIVE_TIMEOUT_SECONDS",
            Seconds(0.1, 3_600),
            "How long a download may receive no bytes before the copy is tried again. A request of "
            "an upload may take this and the time for two parts at 128 KiB a second.",
            default="60",
        ),
    ]
    archive_retry_max_seconds: Annotated[
        float,
        Variable(
            "WORKER_ARCHIVE_RETRY_MAX_SECONDS",
            Seconds(0.1, 3_600),
            "Longest pause between two attempts to copy a file. The pauses double from one second. "
            "While the source denies a file or sends it empty, they grow to an hour.",
            default="600",
        ),
    ]

    def faults(self) -> list[str]:
        """The faults of the values together. Each begins with the name of a variable."""
        if self.archive_max_file_bytes <= MAX_PARTS * self.archive_part_bytes:
            return []
        return [
            "WORKER_ARCHIVE_MAX_FILE_BYTES: must be at most 10,000 times WORKER_ARCHIVE_PART_BYTES"
        ]
