"""Renders the workers' health and its checks: a screen for users, one JSON object for scripts."""

import shutil
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import click
import msgspec

from worker.cli.output import Row
from worker.cli.status.checks import Check, Health
from worker.cli.status.sources import Facts
from worker.cli.times import iso_time
from worker.domain.escaping import escape_controls
from worker.observability.probe_client import Readiness
from worker.store.admin.overview import Overview

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red", "unknown": "magenta"}
_STATE_WIDTH: Final = max(map(len, _COLOURS))
_MIN_WIDTH: Final = 60


def status_json(facts: Facts, health: Health) -> Row:
    """One object with everything that is known. Unknown values are null."""
    overview = facts.overview if isinstance(facts.overview, Overview) else None
    queues = None if isinstance(facts.queues, str) else msgspec.to_builtins(facts.queues)
    return {
        "healthy": health.is_healthy,
        "at": iso_time(overview.at) if overview else datetime.now(UTC).isoformat(),
        "checks_from": checks_from(facts),
        "worker_url": facts.worker_url,
        "checks": [msgspec.structs.asdict(check) for check in health.checks],
        **_overview_json(overview),
        "queues": queues,
    }


def _overview_json(overview: Overview | None) -> dict[str, Any]:
    if overview is None:
        names = (name for name in Overview.__struct_fields__ if name != "at")
        return dict.fromkeys(names)
    fields: dict[str, Any] = msgspec.to_builtins(overview)
    del fields["at"]
    return _with_iso_times(fields)  # type: ignore[no-any-return]


def _with_iso_times(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The value with times as in events. Their fields end in `_at`, `_until`, `_since`."""
    if isinstance(value, list):
        return [_with_iso_times(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _iso_field(name, inner) for name, inner in value.items()}


def _iso_field(name: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if name == "unchanged_since":
        return {status: iso_time(at) for status, at in value.items()}
    if isinstance(value, float) and name.endswith(("_at", "until", "_since", "_expiry")):
        return iso_time(value) if value > 0 else None
    return _with_iso_times(value)


def checks_from(facts: Facts) -> str:
    """The source of the checks: `worker`, `state`, or `nobody`."""
    if isinstance(facts.readiness, Readiness):
        return "worker"
    return "state" if isinstance(facts.overview, Overview) else "nobody"


def status_lines(facts: Facts, health: Health) -> Iterator[str]:
    """The lines of the screen, no wider than the terminal."""
    width = max(min(shutil.get_terminal_size().columns, 120), _MIN_WIDTH)
    yield click.style(_headline(health), bold=True)
    yield from textwrap.wrap(_origin(facts), width)
    yield ""
    name_width = max(len(check.name) for check in health.checks)
    for check in health.checks:
        yield from _check_lines(check, name_width, width)


def _headline(health: Health) -> str:
    by_state = {state: _names(health, state) for state in _COLOURS}
    if health.is_healthy is False:
        return f"Not healthy: {by_state['failed']}"
    if health.is_healthy is None:
        return "Unknown: neither a worker nor the database answers"
    return f"Healthy, but look at: {by_state['warning']}" if by_state["warning"] else "Healthy"


def _names(health: Health, state: str) -> str:
    names = (check.name for check in health.checks if check.state == state)
    return escape_controls(", ".join(dict.fromkeys(names)))


def _origin(facts: Facts) -> str:
    origin = checks_from(facts)
    if origin == "worker":
        return f"A worker made its checks at {facts.worker_url}; the others are from the state."
    if origin == "state":
        return "No worker answers over HTTP, so the checks are from the state alone."
    return "Set DATABASE_URL, or --worker-url, to those of the worker."


def _check_lines(check: Check, name_width: int, width: int) -> Iterator[str]:
    state = click.style(check.state.ljust(_STATE_WIDTH), fg=_COLOURS[check.state])
    name = escape_controls(check.name).ljust(name_width)
    text = escape_controls(check.text) + (f" (see `{check.see}`)" if check.see else "")
    indent = name_width + _STATE_WIDTH + 4
    wrapped = textwrap.wrap(text, width - indent, break_on_hyphens=False) or [""]
    yield f"{name}  {state}  {wrapped[0]}".rstrip()
    for line in wrapped[1:]:
        yield " " * indent + line
