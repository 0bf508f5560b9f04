"""Removes secrets from the API's texts before the worker repeats them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.decoding.fields import MAX_ERROR_LENGTH
from worker.realtimekit.spellings import spans_of

MAX_TEXT_BYTES: Final = 16_384
MAX_BYTES_PER_BYTE: Final = 6
"""The longest common encoding of one byte is `\\u0041`."""

MAX_SENT_SECRETS: Final = 1_000
MIN_REMEMBERED_LENGTH: Final = 4
"""Shorter secrets are redacted in the answer to their own request only. In all later texts of all
apps they would be parts of common words."""

MIN_PART_LENGTH: Final = 6
"""Shorter lines and path segments of a secret are not redacted separately."""

# Only these fields of `storage_config` are known to be harmless; any other counts as a secret.
_HARMLESS = frozenset({"type", "bucket", "region", "path", "host", "port", "auth_method"})


def secrets_in(body: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The secret strings of the storage and the RTMP target in a start's body or a recording."""
    return tuple(_secrets(body)) if body else ()


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret replaced, in any encoding, also single lines of a secret.

    A text longer than `MAX_TEXT_BYTES` is cut. At the cut, everything is removed that may be the
    beginning of a secret.
    """
    parts = {part for secret in secrets for part in _parts(secret)}
    if not parts:
        return text[:MAX_TEXT_BYTES]
    for part in sorted(parts, key=lambda part: (-len(part), part)):
        text = text.replace(part, "[secure]")
    raw = text.encode("utf-8", "surrogatepass")
    spans = sorted(spans_of(raw[:MAX_TEXT_BYTES], parts))
    if len(raw) > MAX_TEXT_BYTES:
        longest = max(len(part.encode("utf-8", "surrogatepass")) for part in parts)
        spans.append((max(0, MAX_TEXT_BYTES - longest * MAX_BYTES_PER_BYTE), MAX_TEXT_BYTES))
    return _without(raw[:MAX_TEXT_BYTES], sorted(spans)).decode("utf-8", "replace")


def redact_snapshot(snapshot: RecordingSnapshot, secrets: Iterable[str]) -> RecordingSnapshot:
    """The recording with the API's texts redacted and of limited length."""
    message, unknown = snapshot.error_message, snapshot.unknown_status
    return msgspec.structs.replace(
        snapshot,
        error_message=None if message is None else redact(message, secrets)[:MAX_ERROR_LENGTH],
        unknown_status=None if unknown is None else redact(unknown, secrets),
    )


class SentSecrets:
    """Remembers the secrets that were sent, because any later answer may repeat them.

    They stay in memory and are never stored. The oldest are dropped first. Those shorter than
    `MIN_REMEMBERED_LENGTH` are not remembered.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}

    def add(self, secrets: Iterable[str]) -> None:
        """Remember these secrets."""
        for secret in secrets:
            if len(secret) < MIN_REMEMBERED_LENGTH:
                continue
            self._secrets.pop(secret, None)
            self._secrets[secret] = None
        while len(self._secrets) > MAX_SENT_SECRETS:
            del self._secrets[next(iter(self._secrets))]

    def all(self) -> tuple[str, ...]:
        """The secrets that are remembered."""
        return tuple(self._secrets)


def _without(raw: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    result, position = bytearray(), 0
    for start, end in spans:
        if end <= position:
            continue
        if start >= position:
            result += raw[position:start] + b"[secure]"
        position = end
    return bytes(result + raw[position:])


def _secrets(body: Mapping[str, Any]) -> Iterator[str]:
    storage, rtmp = body.get("storage_config"), body.get("rtmp_out_config")
    if isinstance(storage, Mapping):
        values = (value for name, value in storage.items() if name not in _HARMLESS)
        yield from (value for value in values if isinstance(value, str) and value)
    url = rtmp.get("rtmp_url") if isinstance(rtmp, Mapping) else None
    if isinstance(url, str) and url:
        yield url
        yield from (part for part in url.split("/")[3:] if len(part) >= MIN_PART_LENGTH)


def _parts(secret: str) -> Iterator[str]:
    yield secret
    yield from (line for line in secret.splitlines() if len(line) >= MIN_PART_LENGTH)
