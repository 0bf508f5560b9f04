"""The small values that commands and events share, with their bounds.

Every bound is written here once. `rule` says the bound in words, for the message to a
publisher who breaks it. What a field means stands at the field.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta

Kind = Literal["track", "composite"]
"""The kind of a recording: one audio file per participant, or one mixed file."""

Media = Literal["audio", "video"]
"""The content of a finished file."""

ObservedBy = Literal["command", "webhook", "sweep"]
"""The source from which the worker learnt of a status first."""


class Status(StrEnum):
    """The status of a recording. UPLOADED and ERRORED are final."""

    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"


UUID_PATTERN: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
"""A UUID with hyphens, in either case, as a regular expression without anchors."""

# A `$` matches before a final line break in Python, but not in ECMAScript. These patterns mean the
# same in both, because a lookahead or the length bound refuses the line break.
# C0, C1, and the characters that break lines or change the direction of text.
_NO_CONTROL_CHARACTERS: Final = (
    r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069])"
)
_UUID: Final = rf"^{UUID_PATTERN}$"
_TRACK_PREFIX: Final = r"^[-_A-Za-z0-9 \t\n\r\f\v]+$"
_URI: Final = (
    r"^(?!.*\s)[A-Za-z][A-Za-z0-9+.\-]*:"
    r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+$"
)
_MINUTE: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
RFC3339_PATTERN: Final = (
    r"^(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])[Tt ]"
    rf"{_MINUTE}:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:[Zz]|[+\-]{_MINUTE})$(?!\n)"
)
"""A time of RFC 3339 with any number of digits after the second. The space is its second form."""


CommandId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_NO_CONTROL_CHARACTERS,
        extra={"rule": "1 to 128 characters without control characters"},
    ),
]
Uuid = Annotated[
    str,
    Meta(
        pattern=_UUID,
        max_length=36,
        extra={"rule": "a UUID with hyphens"},
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=_NO_CONTROL_CHARACTERS,
        extra={"rule": "1 to 256 characters without control characters"},
    ),
]
ProfileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=_NO_CONTROL_CHARACTERS,
        extra={"rule": "the name of something configured on the worker, 1 to 128 characters"},
    ),
]
TrackPrefix = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=256,
        pattern=_TRACK_PREFIX,
        extra={"rule": "1 to 256 ASCII letters, digits, underscores, hyphens and spaces"},
    ),
]
Path = Annotated[
    str,
    Meta(
        max_length=1024,
        pattern=_NO_CONTROL_CHARACTERS,
        extra={"rule": "at most 1024 characters without control characters"},
    ),
]
MetadataName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=_NO_CONTROL_CHARACTERS,
        extra={"rule": "1 to 64 characters without control characters"},
    ),
]
MetadataValue = Annotated[
    str,
    Meta(
        max_length=512,
        extra={"rule": "at most 512 characters"},
    ),
]
Metadata = Annotated[
    dict[MetadataName, MetadataValue],
    Meta(
        max_length=16,
        extra={
            "rule": "an object of at most 16 strings: names of 1 to 64 characters without control "
            "characters, values of at most 512"
        },
    ),
]
"""What a publisher wants to find again in every event of a recording."""
Uri = Annotated[
    str,
    Meta(max_length=8192, pattern=_URI, extra={"rule": "a URI of at most 8192 ASCII characters"}),
]
Secret = Annotated[str, Meta(max_length=16384, extra={"rule": "at most 16384 characters"})]
Deadline = Annotated[
    datetime,
    Meta(
        tz=True,
        extra={"rule": "an RFC 3339 time with an offset, such as 2030-01-31T12:00:00Z"},
        extra_json_schema={"pattern": RFC3339_PATTERN},
    ),
]
MaxSeconds = Annotated[int, Meta(ge=60, le=86400)]
Time = Annotated[datetime, Meta(tz=True)]
Pixels = Annotated[int, Meta(ge=1, le=1920)]
Count = Annotated[int, Meta(ge=0)]
