"""Writes JSON values as YAML, so that the export needs no library for it."""

import json
import re
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_$/][\w $/.,()'*+=;-]*(?<![ ])", re.ASCII)
_NOT_TEXT: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_INDENT: Final = "  "


def to_yaml(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The value as a YAML 1.2 document: blocks for objects, lists and texts of several lines."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Any, indent: str) -> list[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict) and value:
        return [
            line
            for name, item in value.items()
            for line in _entry(f"{indent}{_text(name)}:", item, indent)
        ]
    if isinstance(value, list) and value:
        return [line for item in value for line in _entry(f"{indent}-", item, indent)]
    return [indent + _scalar(value)]


def _entry(lead: str, item: Any, indent: str) -> list[str]:  # noqa: ANN401 - any JSON value
    inner = indent + _INDENT
    if isinstance(item, dict | list) and item:
        first, *rest = _lines(item, inner)
        if lead.endswith("-"):
            return [f"{lead} {first[len(inner) :]}", *rest]
        return [lead, first, *rest]
    if isinstance(item, str) and _is_block(item):
        return [f"{lead} |-", *(inner + line if line else "" for line in item.split("\n"))]
    return [f"{lead} {_scalar(item)}"]


def _is_block(text: str) -> bool:
    """Whether the text has several lines that a block can hold as they are."""
    lines = text.split("\n")
    is_kept = all(line == line.strip() and line.isprintable() for line in lines)
    return len(lines) > 1 and is_kept and bool(lines[0]) and bool(lines[-1])


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable())
