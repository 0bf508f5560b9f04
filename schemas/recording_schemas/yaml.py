"""JSON values as YAML for reading: block style, every doubtful string in JSON's quotes."""

import json
import re
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ .,;()/$-]*(?<![ ])\Z")
_NOT_TEXT: Final = frozenset(["null", "true", "false", "yes", "no", "on", "off", "y", "n"])


def to_yaml(value: Any, indent: int = 0) -> str:  # noqa: ANN401 - any JSON value
    """`value` (objects, arrays, strings, numbers, booleans, None) as lines of YAML 1.2."""
    pad = " " * indent
    if isinstance(value, dict) and value:
        return "".join(
            f"{pad}{_scalar(key)}:{_nested(item, indent)}" for key, item in value.items()
        )
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_nested(item, indent)}" for item in value)
    return f"{pad}{_scalar(value)}\n"


def _nested(value: Any, indent: int) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict | list) and value:
        return "\n" + to_yaml(value, indent + 2)
    return f" {_scalar(value)}\n"


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)
