"""Repairs bodies that are not JSON in one value only. One value must not cost the whole response.

Encoders of several languages write what JSON forbids: Python a NaN, C a name that was cut within a
character, JavaScript half an emoji.
"""

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"
"""What broken text is replaced with."""

_SURROGATE_ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
"""Every escape of JSON, whole pairs first. `half` is an escape that stands alone."""

_NOT_A_NUMBER: Final = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?+|(?P<value>\bNaN\b|-?\bInfinity\b)', re.DOTALL
)
"""Every string, so that nothing in a string counts as a value. A string without an end reaches to
the end of the body. Otherwise each quote in it would be tried as the beginning of a string."""

_CONTROLS_TO_SPACES: Final = bytes(max(byte, 0x20) for byte in range(256))
"""Outside strings they are white space anyway."""


def repaired(body: bytes | bytearray) -> bytes:
    """The body with replacement characters for broken text, and null for what is no number.

    Its structure stays. A byte order mark is removed.
    """
    text = bytes(body).decode("utf-8-sig", "replace").encode().translate(_CONTROLS_TO_SPACES)
    if rb"\u" in text:
        text = _SURROGATE_ESCAPE.sub(_without_half_pair, text)
    if b"NaN" in text or b"Infinity" in text:
        text = _NOT_A_NUMBER.sub(lambda found: b"null" if found["value"] else found[0], text)
    return text


def _without_half_pair(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["half"] else escape[0]
