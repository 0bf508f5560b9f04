"""Keeps what a request carries in confidence out of the words we repeat from its answer."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

# Of `storage_config` only these are known to be harmless; any other member counts as a secret.
_HARMLESS = frozenset({"type", "bucket", "region", "path", "host", "port", "auth_method"})
_SHORTEST_PART = 6


def secrets_in(body: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The secret strings in a start's body or in a recording: of its storage, its RTMP target."""
    return tuple(_secrets(body)) if body else ()


def without_secrets(words: str, secrets: Iterable[str]) -> str:
    """`words` with every one of `secrets` replaced, also when encoded or only a line of it."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        words = words.replace(form, "[secure]")
    return words


def _secrets(body: Mapping[str, Any]) -> Iterator[str]:
    storage, rtmp = body.get("storage_config"), body.get("rtmp_out_config")
    if isinstance(storage, Mapping):
        members = (value for name, value in storage.items() if name not in _HARMLESS)
        yield from (value for value in members if isinstance(value, str) and value)
    url = rtmp.get("rtmp_url") if isinstance(rtmp, Mapping) else None
    if isinstance(url, str) and url:
        yield url
        yield from (part for part in url.split("/")[3:] if len(part) >= _SHORTEST_PART)


def _forms(secret: str) -> Iterator[str]:
    lines = (line for line in secret.splitlines() if len(line) >= _SHORTEST_PART)
    for piece in (secret, " ".join(secret.split()), *lines):
        yield from (piece, quote(piece, safe=""))
        # JSON may be repeated with all but ASCII escaped, or with as little as it takes.
        yield from (json.dumps(piece, ensure_ascii=escaped)[1:-1] for escaped in (True, False))
