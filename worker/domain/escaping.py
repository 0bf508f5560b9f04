"""Escapes characters that could deceive the reader of a text. Pure.

A terminal executes control characters, including C1 (U+0080 to U+009F). Bidirectional controls
display a text in another order, and zero-width characters are invisible. Other characters do not
exist in the encoding of a terminal or pipe. `ENCODING_ERRORS` escapes those.
"""

import codecs
import re
from typing import Final

ENCODING_ERRORS: Final = "recording-worker-escapes"
"""The name of an error handler for an output in any encoding. It writes a character that the
encoding lacks as `\\u20ac`, so JSON stays JSON. Python's `backslashreplace` writes `\\xe9` and
`\\U0001f600`, which JSON forbids."""

_ESCAPES: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_IN_JSON: Final = re.compile(r"[^\x20-\x7e]")


def escape_controls(text: str) -> str:
    """The text with escapes such as `\\x1b` and `\\u202e` instead of invisible characters."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def escape_json_controls(text: str) -> str:
    """A JSON text with the same meaning, in which such characters are JSON escapes."""
    if text.isprintable():
        return text
    return _IN_JSON.sub(lambda match: _escaped_in_json(match[0]), text)


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can encode the text. Bytes of another encoding in the environment cannot be
    encoded: Python keeps them as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escape_surrogates(text: str) -> str:
    """The text with escapes such as `\\udce4` instead of what UTF-8 cannot encode."""
    return text.encode(errors="backslashreplace").decode()


def _escaped(letter: str) -> str:
    code = ord(letter)
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _escaped_in_json(letter: str) -> str:
    if letter.isprintable() or letter == "\n":  # JSON has line ends only between its parts
        return letter
    return _json_escapes(letter)


def _json_escapes(letters: str) -> str:
    units = letters.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _json_escapes(error.object[error.start : error.end]), error.end


codecs.register_error(ENCODING_ERRORS, _escape_unencodable)
