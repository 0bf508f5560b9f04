"""An emulated RealtimeKit API and the services around it, to run everything on one machine.

The sandbox and the worker never import each other. Each has a separate copy of the assumptions
about the API, so each finds the mistakes of the other.

`model` is the emulated world, and `api` serves it over HTTP. `services` starts RabbitMQ and
PostgreSQL. `demo` records a meeting with all of them. `cli` is the command `recording-sandbox`,
which is also `recording-worker sandbox`. `pytest_plugin` has the fixtures for tests of other
projects, and `testing` the objects that they return. `waiting` has `eventually`, which waits for a
condition instead of a fixed time.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from recording_sandbox.api.options import SandboxOptions
    from recording_sandbox.api.server import Sandbox
    from recording_sandbox.model.behaviour import Behaviour
    from recording_sandbox.model.faults import Fault
    from recording_sandbox.waiting import eventually

__all__ = ["Behaviour", "Fault", "Sandbox", "SandboxOptions", "eventually"]

_MODULES: Final = {
    "Behaviour": "recording_sandbox.model.behaviour",
    "Fault": "recording_sandbox.model.faults",
    "Sandbox": "recording_sandbox.api.server",
    "SandboxOptions": "recording_sandbox.api.options",
    "eventually": "recording_sandbox.waiting",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    """Import a public name when it is first used: aiohttp takes a moment, and `cli` has no need."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
