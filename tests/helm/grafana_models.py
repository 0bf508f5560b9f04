"""Checks a dashboard by Grafana's own models (`grafana-foundation-sdk`).

The models accept any type and drop unknown fields, so both are checked here.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

import msgspec
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardLink, Panel, RowPanel


def faults(dashboard: dict[str, Any]) -> list[str]:
    """Every field of the dashboard that is unknown to Grafana or has a wrong type."""
    register_default_plugins()
    loaded = Dashboard.from_json(dashboard)
    for panel in _all_panels(loaded):
        unread: list[Any] = [*(panel.links or ())]
        panel.links = [DashboardLink.from_json(link) for link in unread]
    kept = json.loads(JSONEncoder().encode(loaded))
    return [*_lost(dashboard, kept, "$"), *_mistyped(loaded, "$")]


def _all_panels(loaded: Dashboard) -> Iterator[Panel]:
    """The panels, also those of collapsed rows. The models leave the links of these as they are."""
    for panel in loaded.panels or ():
        if isinstance(panel, RowPanel):
            yield from panel.panels
        else:
            yield panel


def _lost(original: Any, kept: Any, where: str) -> Iterator[str]:
    """Fields that Grafana drops or reads differently. It may add defaults."""
    if isinstance(original, dict) and isinstance(kept, dict):
        for name, value in original.items():
            if name in kept:
                yield from _lost(value, kept[name], f"{where}.{name}")
            elif value is not None:
                yield f"{where}.{name}: unknown"
    elif isinstance(original, list) and isinstance(kept, list) and len(original) == len(kept):
        for number, (item, kept_item) in enumerate(zip(original, kept, strict=True)):
            yield from _lost(item, kept_item, f"{where}[{number}]")
    elif original is not None and original != kept:
        yield f"{where}: {original!r} is read as {kept!r}"


def _mistyped(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _mistyped(item, f"{where}[{number}]")
    elif hasattr(value, "to_json"):
        model: Any = type(value)
        for name, field in vars(value).items():
            yield from _mistyped_field(field, _hints(model)[name], f"{where}.{name}")


@cache
def _hints(model: Any) -> dict[str, Any]:
    return get_type_hints(model)


def _mistyped_field(field: Any, hint: Any, where: str) -> Iterator[str]:
    if _is_modelled(field):
        yield from _mistyped(field, where)
    elif field is not None and field != []:
        try:
            msgspec.convert(field, hint)
        except msgspec.ValidationError as error:
            yield f"{where}: {error}"


def _is_modelled(value: Any) -> bool:
    """Whether the value is an object of the models, or a list of them."""
    if isinstance(value, list):
        return any(map(_is_modelled, value))
    return hasattr(value, "to_json")
