"""Holds texts that must not be shown: tokens, URLs with passwords, and files that contain them."""

import os
import re
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlencode

from worker.domain.hosts import split_hosts_url
from worker.settings.small_files import (
    MAX_FILE_BYTES,
    PIPE_TIMEOUT_SECONDS,
    SilentPipe,
    read_small_file,
)

REDACTED: Final = "[secure]"
FILE_CHECK_INTERVAL_SECONDS: Final = 2.0
_MAX_RECENT_TEXTS: Final = 5
_FILE_NAME: Final = re.compile(r"[a-z0-9_-]{1,30}\.[a-z]{2,6}")
_SENSITIVE_QUERY_WORDS: Final = ("pass", "pwd", "secret", "token", "key", "sig", "credential")

Parse = Callable[[str], object]
Pick = Callable[[str], str]


class Secret:
    """A text that prints as `[secure]`; only `reveal` returns it.

    A secret that comes from a file follows the file. `reveal` notices a change within
    `FILE_CHECK_INTERVAL_SECONDS`, and `refresh` notices it at once. While the file is missing,
    unreadable, empty or not acceptable, the last good text stays, because a file may be in that
    state while it is replaced.
    """

    __slots__ = ("_accept", "_checked_at", "_now", "_path", "_pick", "_signature", "_texts")

    def __init__(self, text: str) -> None:
        self._texts: tuple[str, ...] = (text,)
        self._path: Path | None = None
        self._accept: Parse = str
        self._pick: Pick = str
        self._now = time.monotonic
        self._checked_at = 0.0
        self._signature: tuple[int, int, int] | None = None

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        accept: Parse = str,
        pick: Pick = str,
        now: Callable[[], float] = time.monotonic,
    ) -> Self:
        """A secret that follows the file at `path`.

        The text is what `pick` returns for the file's text, which comes without surrounding white
        space. `accept` raises ValueError for a text that cannot be right. `now` is a clock in
        seconds.

        Raises:
            ValueError: the file is unreadable, empty, above 64 KiB, not UTF-8 or not acceptable.
        """
        signature = _signature(path)
        secret = cls(_read_accepted(path, pick, accept))
        secret._path, secret._pick, secret._accept, secret._now = path, pick, accept, now
        secret._signature, secret._checked_at = signature, now()
        return secret

    def reveal(self) -> str:
        """The text, at most `FILE_CHECK_INTERVAL_SECONDS` older than its file. Never raises."""
        if self._path is not None and self._now() - self._checked_at >= FILE_CHECK_INTERVAL_SECONDS:
            self._checked_at = self._now()
            if _signature(self._path) != self._signature:
                self.refresh()
        return self._texts[-1]

    def refresh(self) -> bool:
        """Read the file again now, and return whether the text changed. Never raises."""
        if self._path is None:
            return False
        signature = _signature(self._path)
        try:
            # Called on the event loop, which must not wait for the writer of a pipe.
            text = _read_accepted(self._path, self._pick, self._accept, pipe_timeout=0.0)
        except ValueError:
            return False
        self._signature = signature
        if text == self._texts[-1]:
            return False
        self._texts = (*self._texts, text)[-_MAX_RECENT_TEXTS:]
        return True

    def recent_texts(self) -> tuple[str, ...]:
        """The last few texts, the current one last, for removal from logs. No I/O."""
        return self._texts

    def __repr__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not copied or pickled")


def _read_accepted(
    path: Path, pick: Pick, accept: Parse, *, pipe_timeout: float = PIPE_TIMEOUT_SECONDS
) -> str:
    file_text = read_text(path, pipe_timeout=pipe_timeout)
    try:
        text = pick(file_text)
        accept(text)
    except ValueError as error:
        raise ValueError(f"the file {path} {error}") from None
    return text


def read_text(path: Path, *, pipe_timeout: float = PIPE_TIMEOUT_SECONDS) -> str:
    """The text of a small file, without a byte order mark and surrounding white space.

    Raises:
        ValueError: the file is unreadable, empty, above 64 KiB or not UTF-8, or a pipe to which
            nothing was written for `pipe_timeout` seconds.
    """
    try:
        content = read_small_file(path, pipe_timeout=pipe_timeout)
    except OSError as error:
        raise ValueError(f"the file {shown_path(path)} cannot be read: {error.strerror}") from None
    except SilentPipe:
        raise ValueError(
            f"the file {path} is a pipe to which nothing was written for {pipe_timeout:g} s"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"the file {path} is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"the file {path} is empty")
    return text


def shown_path(path: Path) -> str:
    """The path, or `[secure]` if it may be the secret itself.

    A secret that was written instead of its file is no absolute path, does not exist, and does
    not look like `folder/name.txt` in a folder that exists.
    """
    looks_like_one = _FILE_NAME.fullmatch(path.name) and os.path.isdir(path.parent)  # noqa: PTH112
    is_path = path.is_absolute() or looks_like_one or os.path.exists(path)  # noqa: PTH110
    return str(path) if is_path else REDACTED


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file changes or is replaced; None while it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def redact_url(url: str) -> str:
    """The URL with `***` in place of its password and of sensitive query values.

    A text that is not a valid URL becomes `[secure]` as a whole.
    """
    parts = split_hosts_url(url)
    if parts is None or not parts.has_valid_hosts:
        return REDACTED
    if parts.password is not None:
        user = str(parts.user_info).partition(":")[0]
        url = parts._replace(user_info=f"{user}:***").with_host(parts.hosts_text)
    if parts.query:
        url = url.replace(f"?{parts.query}", f"?{_redact_query(parts.query)}", 1)
    return url


def _redact_query(query: str) -> str:
    pairs = [
        (name, "***" if any(word in name.lower() for word in _SENSITIVE_QUERY_WORDS) else value)
        for name, value in parse_qsl(query, keep_blank_values=True)
    ]
    return urlencode(pairs, safe="*/:")


@lru_cache(maxsize=64)
def sensitive_parts(text: str) -> tuple[str, ...]:
    """The text; for a URL with passwords also these, as written and percent-decoded.

    A password may stand before the host, and in options such as `password` and `sslpassword`.
    """
    parts = split_hosts_url(text)
    if parts is None:
        return (text,)
    options = (option.partition("=") for option in parts.query.split("&"))
    passwords = [value for name, _, value in options if "password" in name.lower()]
    found = [password for password in (parts.password, *passwords) if password]
    return (text, *found, *map(unquote, found))
