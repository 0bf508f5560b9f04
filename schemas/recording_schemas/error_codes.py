"""Every error code of outcomes, events and retries: when it is sent, and what to do about it.

The worker sends no code that is not listed here. New codes may be added at any time, so a program
must accept a code that it does not know.
"""

from typing import Final

from recording_schemas.archive_codes import ARCHIVE_CODES
from recording_schemas.error_code import ErrorCode, Place
from recording_schemas.failed_codes import FAILED_CODES
from recording_schemas.rejected_codes import REJECTED_CODES

DOCUMENT: Final = "docs/errors.md"
"""The document that has a section for every code, in the repository of the worker."""

CODE_PATTERN: Final = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
"""What every code looks like, also one that a later version adds."""

_ERRORED_CODES: Final = (
    ErrorCode(
        code="recording_errored",
        places=("errored",),
        when="The API reports the recording as ERRORED. `message` has the API's words, if it gave "
        "any.",
        remedy="Start another recording if the meeting continues. The API keeps no file of this "
        "one.",
        resend="unchanged",
    ),
    ErrorCode(
        code="stalled",
        places=("errored",),
        when="The worker ended the recording, because its status did not change for too long.",
        remedy="Start another recording if the meeting continues. If the API reports another end "
        "later, the worker publishes that, too.",
        resend="unchanged",
    ),
    ErrorCode(
        code="vanished",
        places=("errored",),
        when="The worker ended the recording, because the API answers 404 for it.",
        remedy="Start another recording if the meeting continues. If the API reports the recording "
        "again later, the worker publishes that, too.",
        resend="unchanged",
    ),
)
_RETRY_CODES: Final = (
    ErrorCode(
        code="busy",
        places=("retry",),
        when="Another attempt at the command, or another start of its meeting, is running.",
        remedy="Nothing. The command waits until the other one has ended.",
        resend="by_worker",
    ),
    ErrorCode(
        code="id_in_use",
        places=("retry",),
        when="An earlier message with the same command id and another body has no outcome yet.",
        remedy="Nothing: the message gets the outcome of that body. To have this command executed, "
        "send it with another `id`.",
        resend="never",
    ),
    ErrorCode(
        code="api_circuit_open",
        places=("retry",),
        when="The API of the app fails, so the worker sends it no requests for a while.",
        remedy="Nothing. The command waits without an attempt.",
        resend="by_worker",
    ),
    ErrorCode(
        code="store_unavailable",
        places=("retry",),
        when="The database did not commit.",
        remedy="Check the database.",
        resend="by_worker",
    ),
    ErrorCode(
        code="parked",
        places=("retry",),
        when="The command waits in the database for a session or a start, or this is a repeat of "
        "such a command.",
        remedy="Nothing. The worker continues when the session or the start is there.",
        resend="by_worker",
    ),
)

ERROR_CODES: Final[dict[str, ErrorCode]] = {
    entry.code: entry
    for entry in (
        *REJECTED_CODES,
        *FAILED_CODES,
        *_ERRORED_CODES,
        *ARCHIVE_CODES,
        *_RETRY_CODES,
    )
}
"""Every code with its meaning."""


def codes_of(*places: Place) -> list[str]:
    """The codes that are sent in one of these places, in alphabetical order."""
    return sorted(
        code for code, entry in ERROR_CODES.items() if not set(places).isdisjoint(entry.places)
    )


def error_section(code: str) -> str | None:
    """The section about the code, such as `docs/errors.md#not_found`. None if the code is
    not listed."""
    return f"{DOCUMENT}#{code}" if code in ERROR_CODES else None


def with_error_section(code: str, message: str) -> str:
    """The message for people, with the section about its code at the end."""
    section = error_section(code)
    return f"{message} (see {section})" if section else message
