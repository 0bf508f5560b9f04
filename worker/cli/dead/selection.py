"""The letters that the flags of `dead` select."""

import msgspec

from worker.cli.dead.letter import DecodedLetter


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the letters that match every field. An empty field, or None, matches any letter.

    `before` is in seconds since the epoch. It is compared with the time of the dead-lettering, else
    with the time when a worker first received the letter. A letter without either time does not
    match.
    """

    handles: frozenset[str] = frozenset()
    fingerprints: frozenset[str] | None = None
    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    before: float | None = None

    @property
    def has_filters(self) -> bool:
        """Whether a reason, a type or a time is given."""
        return bool(self.reasons or self.types) or self.before is not None

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


def _is_before(decoded: DecodedLetter, limit: float) -> bool:
    reason = decoded.letter.reason
    time = reason.last_seen or reason.first_seen
    return time is not None and time.timestamp() < limit
