"""Removes secrets from log lines.

This is defence in depth, because no secret should reach a line. Three other modules redact the
secrets that only they can recognise. `realtimekit.redaction` removes a request's own secrets from
the API's texts. `settings.secret` shows a configured URL without its password. `cli.redaction`
shows messages of other programs, and hides every field that is not known to be harmless.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the command line redacts as well, and structlog is slow to import
    from structlog.typing import EventDict, WrappedLogger

SensitiveTexts = Callable[[], Iterable[str]]
"""The configured secrets. Called for each line, because a secret's file may change."""

MIN_SENSITIVE_LENGTH: Final = 6
"""A shorter text would be removed from harmless words."""

_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?\"'<>]+)\?[^\s\"'<>]+", re.IGNORECASE)
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_HARMLESS_TYPES: Final = frozenset({type(None), bool, int, float})
_HARMLESS_OR_TEXT: Final = _HARMLESS_TYPES | {str}


class LogRedaction:
    """A structlog processor that removes secrets from every text of an event, at any depth.

    It removes `sensitive_texts()`, passwords and query strings of URLs (the query of a presigned
    URL is a credential), and credentials after `Bearer` or `Basic`.
    """

    def __init__(self, sensitive_texts: SensitiveTexts) -> None:
        self._sensitive_texts = sensitive_texts
        self._current: tuple[str, ...] = ()
        self._longest_first: list[str] = []

    def __call__(self, logger: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
        """The event without secrets."""
        current = tuple(self._sensitive_texts())
        if current != self._current:
            texts = {form for text in current for form in (text, repr(text)[1:-1])}
            texts = {text for text in texts if len(text) >= MIN_SENSITIVE_LENGTH}
            # If a shorter text were cut first, the rest of a longer one would show.
            self._current, self._longest_first = current, sorted(texts, key=len, reverse=True)
        sensitive = self._longest_first
        if _is_harmless(event, sensitive):
            return event
        return {
            key: value if type(value) in _HARMLESS_TYPES else _redact(value, sensitive)
            for key, value in event.items()
        }


def _is_harmless(event: "EventDict", sensitive: list[str]) -> bool:
    """Whether nothing in the event can be a secret. All its texts are searched at once, because
    nearly every line is harmless. Values that are neither texts nor of a harmless type are not
    judged."""
    if not _HARMLESS_OR_TEXT.issuperset(map(type, event.values())):
        return False
    together = "\n".join([value for value in event.values() if type(value) is str])
    return redact_text(together, sensitive) == together


def _redact(value: object, sensitive: list[str]) -> object:
    if isinstance(value, str):
        return redact_text(value, sensitive)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            redact_text(str(key), sensitive): _redact(item, sensitive)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, sensitive) for item in value]
    return redact_text(str(value), sensitive)


def redact_text(text: str, sensitive: Iterable[str] = ()) -> str:
    """The text without the sensitive texts and without credentials recognisable by their form."""
    for secret in sensitive:
        text = text.replace(secret, "[secure]")
    # Most texts are names and ids. These checks cost a tenth of the patterns that they skip.
    if "://" in text:
        text = _PASSWORD.sub(r"\1:***@", text)
        text = _QUERY.sub(r"\1?…", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _BEARER.sub(r"\1 [secure]", text)
    return text
