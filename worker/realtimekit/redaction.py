"""Keeps the secrets of a request out of the text that we repeat from its response."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

MIN_PART_LENGTH: Final = 6
"""Shorter lines and path segments of a secret are not redacted by themselves."""

# Only these fields of `storage_config` are known to be harmless; any other counts as a secret.
_HARMLESS = frozenset({"type", "bucket", "region", "path", "host", "port", "auth_method"})


def secrets_in(body: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The secret strings in a start's body or in a recording: of its storage and RTMP target."""
    return tuple(_secrets(body)) if body else ()


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret replaced, also where it is encoded or only one line of it."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        text = text.replace(form, "[secure]")
    return text


def _secrets(body: Mapping[str, Any]) -> Iterator[str]:
    storage, rtmp = body.get("storage_config"), body.get("rtmp_out_config")
    if isinstance(storage, Mapping):
        values = (value for name, value in storage.items() if name not in _HARMLESS)
        yield from (value for value in values if isinstance(value, str) and value)
    url = rtmp.get("rtmp_url") if isinstance(rtmp, Mapping) else None
    if isinstance(url, str) and url:
        yield url
        yield from (part for part in url.split("/")[3:] if len(part) >= MIN_PART_LENGTH)


def _forms(secret: str) -> Iterator[str]:
    lines = (line for line in secret.splitlines() if len(line) >= MIN_PART_LENGTH)
    for part in (secret, " ".join(secret.split()), *lines):
        yield from (part, quote(part, safe=""))
        # JSON may escape everything but ASCII, or as little as it must.
        yield from (json.dumps(part, ensure_ascii=escaped)[1:-1] for escaped in (True, False))
