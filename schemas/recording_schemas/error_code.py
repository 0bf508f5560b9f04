"""What is known of one error code."""

from typing import Final, Literal

import msgspec

Place = Literal["rejected", "failed", "errored", "archive", "retry"]
"""Where a code is sent.

    rejected, failed  in this outcome of a command
    errored           in the event of a recording that ended as ERRORED
    archive           in the event of a file that is not archived
    retry             in the header `x-reason-code` of a message that waits in a retry queue
"""

Resend = Literal["corrected", "unchanged", "never", "by_worker", "file_by_worker", "archive_again"]
"""Whether the publisher should send the command again, and how."""

RESEND: Final[dict[Resend, str]] = {
    "corrected": "Yes, corrected and with a new `id`. A repeat of the old `id` returns the stored "
    "outcome.",
    "unchanged": "Yes, with a new `id`. A repeat of the old `id` returns the stored outcome.",
    "never": "No.",
    "by_worker": "No. The worker tries the command again itself.",
    "file_by_worker": "No. The worker tries the file again itself.",
    "archive_again": "Send `archive_recording` when the cause is removed.",
}
"""Each value of `Resend` in words."""


class ErrorCode(msgspec.Struct, frozen=True, kw_only=True):
    """One error code: the places where it is sent, when it is sent, and what to do about it."""

    code: str
    places: tuple[Place, ...]
    when: str
    remedy: str
    resend: Resend
