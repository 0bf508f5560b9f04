"""Texts that must not be seen: tokens, URLs with passwords, files that hold either."""

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

REDACTED: Final = "[secure]"
MAX_SECRET_BYTES: Final = 65_536
FILE_CHECK_INTERVAL_SECONDS: Final = 2.0
_REMEMBERED: Final = 5
_TELLING: Final = ("pass", "pwd", "secret", "token", "key", "sign", "credential")


class Secret:
    """A text that prints as `[secure]` and is only had by asking for it with `reveal`.

    A secret that comes from a file follows the file. `reveal` notices a change within
    `FILE_CHECK_INTERVAL_SECONDS`, and `refresh` notices it at once. While the file is missing,
    unreadable, empty or not acceptable, the last good text stays: a file may be so for a moment
    while it is replaced.
    """

    __slots__ = ("_accept", "_checked_at", "_held", "_now", "_path", "_pick", "_signature")

    def __init__(self, text: str) -> None:
        self._held: tuple[str, ...] = (text,)
        self._path: Path | None = None
        self._accept: Callable[[str], object] = str
        self._pick: Callable[[str], str] = str
        self._now = time.monotonic
        self._checked_at = 0.0
        self._signature: tuple[int, int, int] | None = None

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        accept: Callable[[str], object] = str,
        pick: Callable[[str], str] = str,
        now: Callable[[], float] = time.monotonic,
    ) -> Self:
        """What the file at `path` holds, without white space around it, or what `pick` finds there.

        `accept` raises ValueError for a text that cannot be right. `now` is a clock in seconds.

        Raises:
            ValueError: when it cannot be read, is empty, above 64 KiB, not UTF-8 or not acceptable.
        """
        signature = _signature(path)
        text = _accepted(path, pick, accept)
        secret = cls(text)
        secret._path, secret._pick, secret._accept, secret._now = path, pick, accept, now
        secret._signature, secret._checked_at = signature, now()
        return secret

    def reveal(self) -> str:
        """The text, as new as the file was `FILE_CHECK_INTERVAL_SECONDS` ago. Never raises."""
        if self._path is not None and self._now() - self._checked_at >= FILE_CHECK_INTERVAL_SECONDS:
            self._checked_at = self._now()
            if _signature(self._path) != self._signature:
                self.refresh()
        return self._held[-1]

    def refresh(self) -> bool:
        """Read the file again now; whether the text is a new one. Never raises."""
        if self._path is None:
            return False
        signature = _signature(self._path)
        try:
            text = _accepted(self._path, self._pick, self._accept)
        except ValueError:
            return False
        self._signature = signature
        if text == self._held[-1]:
            return False
        self._held = (*self._held, text)[-_REMEMBERED:]
        return True

    def recent_texts(self) -> tuple[str, ...]:
        """The last few texts it had, the present one last: what to cut out of logs. No I/O."""
        return self._held

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not copied or pickled")


def _accepted(path: Path, pick: Callable[[str], str], accept: Callable[[str], object]) -> str:
    text = read_text(path)
    try:
        text = pick(text)
        accept(text)
    except ValueError as wrong:
        raise ValueError(f"the file {path} {wrong}") from None
    return text


def read_text(path: Path) -> str:
    """The text of a small file, without white space around it.

    Raises:
        ValueError: when it cannot be read, is empty, above 64 KiB or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_SECRET_BYTES + 1)
    except OSError as wrong:
        raise ValueError(f"the file {path} cannot be read: {wrong.strerror}") from None
    if len(body) > MAX_SECRET_BYTES:
        raise ValueError(f"the file {path} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"the file {path} is empty")
    return text


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def redact_url(url: str) -> str:
    """The URL without its password and without telling query values, fit to be shown.

    What cannot be taken apart is not shown at all.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a netloc that only looks like one
    except ValueError:
        return REDACTED
    if parts.password is not None:
        user = parts.netloc.partition(":")[0]
        url = url.replace(parts.netloc, f"{user}:***@{parts.netloc.rpartition('@')[2]}", 1)
    if parts.query:
        query = [
            (name, "***" if any(word in name.lower() for word in _TELLING) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        url = url.replace(f"?{parts.query}", f"?{urlencode(query, safe='*/:')}", 1)
    return url


@lru_cache(maxsize=64)
def secret_texts(text: str) -> tuple[str, ...]:
    """The text, and when it is a URL with a password that alone, as written and unquoted."""
    try:
        password = urlsplit(text).password
    except ValueError:
        password = None
    return (text, password, unquote(password)) if password else (text,)
