"""Text as both databases can hold it. PostgreSQL has no NUL character, and bounds its columns.

What a publisher or the API sends may have both. A row that cannot be written would be tried again
for ever, so the columns get less; what is only kept as JSON is kept whole.
"""

from typing import Final, overload

MEETING_LENGTH: Final = 128


@overload
def strip_nul(text: str) -> str: ...
@overload
def strip_nul(text: None) -> None: ...
@overload
def strip_nul(text: str | None) -> str | None: ...
def strip_nul(text: str | None) -> str | None:
    """The text without NUL characters."""
    return text if text is None else text.replace("\x00", "")


def meeting_key(meeting_id: str | None) -> str | None:
    """What a meeting is found by, however its id was spelt."""
    return None if meeting_id is None else strip_nul(meeting_id).lower()[:MEETING_LENGTH]
