"""The names of objects in the archive, by a template such as `{recording_id}/{file_name}`. Pure.

No value can add a slash to a name, and two different file names never become one:

- `!` and two hex digits replace each UTF-8 byte of a character that a name cannot have: `/`,
  `\\`, `!`, control characters, and marks that change the direction of text.
- A value that is null or empty is written as `none`.
- A name that a storage would not accept is shortened, and ends with a hash of the whole value and
  with the extension.
- No name ends with `#` and digits, as unfinished files of a folder do.
- Only manifests end with `.json`, so that no file replaces a manifest.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Self

import msgspec

from recording_schemas import FileReady
from worker.domain.recording import Recording

MAX_KEY_BYTES: Final = 768
"""The longest name. S3, GCS and Azure take 1,024 bytes, and the prefix of the archive's URL is part
of them."""

MAX_PART_BYTES: Final = 240
"""The longest part between two slashes. File systems take 255 bytes, and an unfinished file has a
suffix."""

STAND_IN: Final = "none"
"""Replaces a value that is null or empty."""

MANIFEST_FIELDS: Final = ("app", "meeting_id", "recording_id", "kind", "date")
FILE_FIELDS: Final = (*MANIFEST_FIELDS, "file_name", "user_id", "custom_participant_id")

_FIELD: Final = re.compile(r"\{([^{}/]*)\}")
_MARKS: Final = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNSAFE: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f/\\!{_MARKS}]")
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_STAGED_END: Final = re.compile(r"#(?=[0-9]+\Z)")
"""obstore gives such a name to a file of a folder until it is complete."""
_MANIFEST_END: Final = re.compile(r"\.(?=json\Z)", re.IGNORECASE)
_HASH_DIGITS: Final = 16
_SMALLEST_VALUE_BYTES: Final = 48
"""A UUID is never shortened, and a shortened value has enough space for its hash and extension."""


class _Part(msgspec.Struct, frozen=True):
    """The text between two slashes: literals and fields alternate, a literal is first and last."""

    literals: tuple[str, ...]
    fields: tuple[str, ...]

    def smallest(self) -> int:
        """The bytes of the part if each value is as short as it can be made."""
        values = _SMALLEST_VALUE_BYTES * len(self.fields)
        return values + sum(len(text.encode()) for text in self.literals)

    def render(self, values: dict[str, str], max_bytes: int) -> str:
        """The part with its values. It is never `.` or `..`."""
        room = max_bytes - sum(len(text.encode()) for text in self.literals)
        text = self.literals[0]
        for name, literal in zip(self.fields, self.literals[1:], strict=True):
            text += _fitted(values[name], room // len(self.fields)) + literal
        return text.replace(".", "!2E") if text in {".", ".."} else text


class KeyTemplate(msgspec.Struct, frozen=True):
    """The template of the names of files or of manifests. `parse` makes it."""

    parts: tuple[_Part, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the template of files. Raises ValueError, which says what is wrong.

        It must have `{recording_id}` and `{file_name}`, because only both together are unique.
        """
        if text.endswith(".json"):
            raise ValueError("must not end with `.json`, because the names of manifests do")
        return cls(_parsed(text, FILE_FIELDS, required=("recording_id", "file_name")))

    @classmethod
    def parse_manifest(cls, text: str) -> Self:
        """Parse the template of manifests, which must have `{recording_id}`. Raises ValueError."""
        if not text.endswith(".json"):
            raise ValueError("must end with `.json`, so that no file replaces a manifest")
        return cls(_parsed(text, MANIFEST_FIELDS, required=("recording_id",)))

    def render(self, app: str, file: FileReady | Recording, started: datetime | None) -> str:
        """The name of a file, or of a recording's manifest, of at most `MAX_KEY_BYTES` bytes.

        `started` is when the recording started; `{date}` is its day in UTC.
        """
        values = {name: getattr(file, name, None) or STAND_IN for name in FILE_FIELDS}
        values["app"] = app or STAND_IN
        values["date"] = _day(started) if started else STAND_IN
        keys = self._candidates(values)
        key = next(key for key in keys if len(key.encode()) <= MAX_KEY_BYTES)
        key = _STAGED_END.sub("!23", key)
        return _MANIFEST_END.sub("!2E", key) if isinstance(file, FileReady) else key

    def _candidates(self, values: dict[str, str]) -> Iterator[str]:
        """The name with ever shorter parts. `parse` makes sure that the last one fits."""
        for max_bytes in (MAX_PART_BYTES, MAX_PART_BYTES // 2, 0):
            yield "/".join(
                part.render(values, max(max_bytes, part.smallest())) for part in self.parts
            )


def _day(time: datetime) -> str:
    """The day in UTC. If an offset leads out of the calendar, it is ignored."""
    try:
        return time.astimezone(UTC).date().isoformat()
    except OverflowError:
        return time.date().isoformat()


def _parsed(text: str, fields: tuple[str, ...], *, required: tuple[str, ...]) -> tuple[_Part, ...]:
    parts = tuple(_parse_part(part, fields) for part in text.split("/"))
    used = {name for part in parts for name in part.fields}
    missing = [f"{{{name}}}" for name in required if name not in used]
    if missing:
        raise ValueError(f"must have {' and '.join(missing)}, so that no object replaces another")
    if any(part.smallest() > MAX_PART_BYTES for part in parts):
        raise ValueError("has too much between two slashes: a part has at most 240 bytes")
    if sum(part.smallest() + 1 for part in parts) > MAX_KEY_BYTES:
        raise ValueError(f"is too long: a name in the archive has at most {MAX_KEY_BYTES} bytes")
    return parts


def _parse_part(text: str, fields: tuple[str, ...]) -> _Part:
    pieces = _FIELD.split(text)
    literals, names = tuple(pieces[::2]), tuple(pieces[1::2])
    wrong = [name for name in names if name not in fields]
    known = ", ".join(f"{{{name}}}" for name in fields)
    if wrong:
        raise ValueError(f"has the unknown placeholder {{{wrong[0][:40]}}}; it may have {known}")
    if any("{" in literal or "}" in literal for literal in literals):
        raise ValueError(f"has a single brace; placeholders are {known}")
    if text in {"", ".", ".."}:
        raise ValueError("must not begin or end with a slash, or have an empty part, `.` or `..`")
    if any(_UNSAFE.search(literal) for literal in literals):
        raise ValueError("must not have a backslash, `!` or control characters")
    return _Part(literals, names)


def _fitted(value: str, max_bytes: int) -> str:
    """The value, escaped. If it is too long: its beginning, `!`, a hash, and its extension."""
    escaped = _UNSAFE.sub(_escape, value)
    if len(escaped.encode()) <= max_bytes:
        return escaped
    digest = sha256(value.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    extension = _EXTENSION.search(value)
    end = f"!{digest}{extension[0] if extension else ''}"
    return _beginning(value, max_bytes - len(end)) + end


def _beginning(value: str, max_bytes: int) -> str:
    """The longest beginning of the value, in whole characters, that fits after escaping."""
    text, size = "", 0
    for character in value:
        escaped = _UNSAFE.sub(_escape, character)
        size += len(escaped.encode())
        if size > max_bytes:
            break
        text += escaped
    return text


def _escape(found: re.Match[str]) -> str:
    encoded = found[0].encode(errors="surrogatepass")
    return "".join(f"!{byte:02X}" for byte in encoded)
