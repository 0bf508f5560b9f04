"""Whether Grafana would load a dashboard, by its own models of one (`grafana-foundation-sdk`).

They take any type and drop what they do not know, so both are looked at here.
"""

import json
from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def faults(dashboard: dict[str, Any]) -> list[str]:
    """Each member of a dashboard that Grafana does not know, or wants of another type."""
    register_default_plugins()
    loaded = Dashboard.from_json(dashboard)
    kept = json.loads(JSONEncoder().encode(loaded))
    return [*_lost(dashboard, kept, "$"), *_mistyped(loaded, "$")]


def _lost(given: Any, kept: Any, where: str) -> Iterator[str]:
    """Grafana adds defaults, so more may be kept than was given."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, member in given.items():
            if name in kept:
                yield from _lost(member, kept[name], f"{where}.{name}")
            else:
                yield f"{where}.{name}: unknown"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from _lost(one, other, f"{where}[{number}]")
    elif given != kept:
        yield f"{where}: {given!r} is read as {kept!r}"


def _mistyped(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from _mistyped(one, f"{where}[{number}]")
    elif hasattr(value, "to_json"):
        hints = get_type_hints(type(value))
        for name, member in vars(value).items():
            yield from _member(member, hints[name], f"{where}.{name}")


def _member(member: Any, hint: Any, where: str) -> Iterator[str]:
    if _is_modelled(member):
        yield from _mistyped(member, where)
    elif member is not None and member != []:
        try:
            msgspec.convert(member, hint)
        except msgspec.ValidationError as wrong:
            yield f"{where}: {wrong}"


def _is_modelled(value: Any) -> bool:
    """Whether it is an object of theirs, or a list of such."""
    if isinstance(value, list):
        return any(map(_is_modelled, value))
    return hasattr(value, "to_json")
