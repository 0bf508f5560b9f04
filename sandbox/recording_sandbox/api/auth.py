"""Checks bearer tokens."""

import hashlib

from recording_sandbox.model.behaviour import Behaviour


class Tokens:
    """Valid bearer tokens. Only digests are stored, with a number for each as its name."""

    def __init__(self, behaviour: Behaviour, allowed: tuple[str, ...] = ()) -> None:
        self._behaviour = behaviour
        self._allowed = {_digest(token) for token in allowed}
        self._revoked: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}

    def allow(self, token: str) -> None:
        """Make the token valid, also in strict mode and after it was revoked."""
        self._allowed.add(_digest(token))
        self._revoked.discard(_digest(token))

    def revoke(self, token: str) -> None:
        """Make the token invalid."""
        self._revoked.add(_digest(token))
        self._allowed.discard(_digest(token))

    def number(self, authorization: str | None) -> int | None:
        """The number of the token in an Authorization header; None if the token is invalid."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        digest = _digest(token.strip())
        allowed = digest in self._allowed or not self._behaviour.strict
        if digest in self._revoked or not allowed:
            return None
        return self._numbers.setdefault(digest, len(self._numbers) + 1)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
