"""Finds secrets in a text, in any encoding. Pure.

Both sides become *plain* bytes: every percent-encoding, JSON escape and HTML entity is decoded,
even if they are nested. Whitespace, control characters, backslashes and plus signs are dropped.
Equal texts then have equal plain bytes, in any spelling. Base64 is decoded at each of its four
alignments. A secret may also be cut off: a beginning or an end of it is found as well.
"""

import base64
import html
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_NESTING: Final = 8
"""This many nested encodings are decoded."""

MAX_BASE64_NESTING: Final = 2
MIN_PLAIN_LENGTH: Final = 4
"""Shorter secrets are found only without encoding, because their plain bytes are in many words."""

MIN_CUT_LENGTH: Final = 12
"""At least this many bytes of a secret's beginning or end are recognised. Shorter parts occur in
other words."""

# Of several backslashes before an escape only the last is matched: the others are dropped, and a
# pattern that repeats would take quadratic time.
_ESCAPE = re.compile(
    rb"%(?P<percent>[0-9A-Fa-f]{2})"
    rb"|[\\%]u(?P<high>[dD][89abAB][0-9A-Fa-f]{2})(?:\\{1,8}|%)u(?P<low>[dD][c-fC-F][0-9A-Fa-f]{2})"
    rb"|%u(?P<percent_u>[0-9A-Fa-f]{4})"
    rb"|\\(?:u(?P<u>[0-9A-Fa-f]{4})|U(?P<long>[0-9A-Fa-f]{8})|x(?P<x>[0-9A-Fa-f]{2}))"
    rb"|\\u\{(?P<braces>[0-9A-Fa-f]{1,6})\}"
    rb"|\\(?P<octal>[0-3][0-7]{2})"
    rb"|\\(?P<space>[nrtbf])"
    rb"|&(?P<entity>#[0-9]{1,8};?|#[xX][0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};)"
)
_DROPPED = re.compile(rb"[\x00-\x20\x7f\\+]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{6,}")
_BASE64_SPACE = re.compile(rb"[\x00-\x20\x7f\\]+")


class _Plain(NamedTuple):
    """Decoded bytes. For each, the first and the last byte of the original that it came from."""

    data: bytes
    first: list[int]
    last: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        return self.first[start], self.last[end - 1] + 1


def spans_of(text: bytes, secrets: Iterable[str]) -> list[tuple[int, int]]:
    """The start and end of each part of `text` that is one of the `secrets`, in any spelling."""
    plain_secrets = {
        plain for secret in secrets if len(plain := plain_bytes(secret)) >= MIN_PLAIN_LENGTH
    }
    return _spans(text, plain_secrets, MAX_BASE64_NESTING)


def plain_bytes(text: str) -> bytes:
    """The plain bytes of a text."""
    return _cut(_decoded(text.encode("utf-8", "surrogatepass")), _DROPPED).data


def _spans(text: bytes, plain_secrets: set[bytes], base64_nesting: int) -> list[tuple[int, int]]:
    decoded = _decoded(text)
    plain = _cut(decoded, _DROPPED)
    found = [
        plain.span(*place) for secret in plain_secrets for place in _places(plain.data, secret)
    ]
    if base64_nesting:
        joined = _cut(decoded, _BASE64_SPACE)
        for run in _BASE64.finditer(joined.data):
            places = _base64_places(run[0], plain_secrets, base64_nesting - 1)
            found += [joined.span(run.start() + a, run.start() + b) for a, b in places]
    return found


def _places(data: bytes, secret: bytes) -> Iterable[tuple[int, int]]:
    """Where the secret is, or as much of it as there is of its beginning or its end."""
    length = min(len(secret), MIN_CUT_LENGTH)
    for at in _occurrences(data, secret[:length]):
        yield at, at + _common_length(data[at:], secret)
    if length < len(secret):
        backwards = secret[::-1]
        for at in _occurrences(data, secret[-length:]):
            end = at + length
            yield end - _common_length(data[:end][::-1], backwards), end


def _common_length(first: bytes, second: bytes) -> int:
    """How many bytes both have in common at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _occurrences(data: bytes, part: bytes) -> Iterable[int]:
    at = data.find(part)
    while at >= 0:
        yield at
        at = data.find(part, at + 1)


def _base64_places(
    run: bytes, plain_secrets: set[bytes], nesting: int
) -> Iterable[tuple[int, int]]:
    run = run.translate(bytes.maketrans(b"-_", b"+/"))
    for offset in range(4):
        quanta = run[offset:]
        decoded = base64.b64decode(quanta + b"A" * (-len(quanta) % 4))
        for start, end in _spans(decoded, plain_secrets, nesting):
            yield offset + start * 4 // 3, min(len(run), offset + -(-end * 4 // 3))


def _decoded(text: bytes) -> _Plain:
    indices = list(range(len(text)))
    plain = _Plain(text, indices, indices)
    for _ in range(MAX_NESTING):
        after = _decoded_once(plain)
        if after.data == plain.data:
            break
        plain = after
    return plain


def _decoded_once(plain: _Plain) -> _Plain:
    data, first, last = bytearray(), list[int](), list[int]()
    position = 0
    for escape in _ESCAPE.finditer(plain.data):
        start, end = escape.span()
        data += plain.data[position:start]
        first += plain.first[position:start]
        last += plain.last[position:start]
        letter = _unescaped(escape)
        data += letter
        first += [plain.first[start]] * len(letter)
        last += [plain.last[end - 1]] * len(letter)
        position = end
    return _Plain(
        bytes(data + plain.data[position:]),
        first + plain.first[position:],
        last + plain.last[position:],
    )


def _unescaped(escape: re.Match[bytes]) -> bytes:
    groups = {name: value for name, value in escape.groupdict().items() if value is not None}
    if "percent" in groups:
        return bytes([int(groups["percent"], 16)])
    if "octal" in groups:
        return bytes([int(groups["octal"], 8)])
    if "space" in groups:
        return b" "
    if "entity" in groups:
        return html.unescape(escape[0].decode()).encode("utf-8", "surrogatepass")
    code = int(next(iter(groups.values())), 16)
    if "low" in groups:
        code = (
            0x10000 + ((int(groups["high"], 16) & 0x3FF) << 10) + (int(groups["low"], 16) & 0x3FF)
        )
    return chr(code).encode("utf-8", "surrogatepass") if code <= 0x10FFFF else b" "


def _cut(plain: _Plain, dropped: re.Pattern[bytes]) -> _Plain:
    data, first, last = bytearray(), list[int](), list[int]()
    position = 0
    for match in (*dropped.finditer(plain.data), None):
        end = match.start() if match else len(plain.data)
        data += plain.data[position:end]
        first += plain.first[position:end]
        last += plain.last[position:end]
        position = match.end() if match else end
    return _Plain(bytes(data), first, last)
