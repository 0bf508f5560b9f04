"""The letters that the flags of `dead` select."""

from datetime import datetime
from typing import Annotated, Final

import click
import msgspec

from worker.cli.dead.letter import DecodedLetter

_AWARE_TIME: Final = Annotated[datetime, msgspec.Meta(tz=True)]


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the letters that satisfy every field. An empty field, or None, accepts any letter.

    `before` is compared with the time when the letter became dead, else with the time when a
    worker first received it. A letter without either time is not selected by it.
    """

    handles: frozenset[str] = frozenset()
    fingerprints: frozenset[str] | None = None
    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    before: datetime | None = None

    @property
    def has_filters(self) -> bool:
        """Whether a reason, a type or a time is given."""
        return bool(self.reasons or self.types or self.before)

    def matches(self, decoded: DecodedLetter) -> bool:
        """Whether the letter is selected."""
        if self.handles and decoded.handle not in self.handles:
            return False
        if self.fingerprints is not None and decoded.fingerprint not in self.fingerprints:
            return False
        if self.reasons and decoded.letter.reason.code not in self.reasons:
            return False
        if self.types and decoded.command_type not in self.types:
            return False
        return self.before is None or _is_before(decoded, self.before)


def _is_before(decoded: DecodedLetter, limit: datetime) -> bool:
    reason = decoded.letter.reason
    time = reason.last_seen or reason.first_seen
    return time is not None and time < limit


def parse_time(text: str | None) -> datetime | None:
    """Parse the RFC 3339 time of `--before`. Raises click.UsageError."""
    if text is None:
        return None
    try:
        time: datetime = msgspec.convert(text, _AWARE_TIME)
    except msgspec.ValidationError:
        raise click.UsageError(
            "--before: must be an RFC 3339 time with its offset, such as 2025-06-01T12:00:00Z"
        ) from None
    return time
