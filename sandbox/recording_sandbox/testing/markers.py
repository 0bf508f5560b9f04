"""Reads the marker `recording_sandbox` of a test."""

from collections.abc import Mapping

import msgspec

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.model.behaviour import Behaviour

OPTION_FIELDS = frozenset(SandboxOptions.__struct_fields__) - {"behaviour"}


def sandbox_options(fields: Mapping[str, object]) -> SandboxOptions:
    """The options of a sandbox: fields of `SandboxOptions`, and others of `Behaviour`.

    Raises:
        msgspec.ValidationError: if a field is unknown or invalid. The text names it.
    """
    options = {name: value for name, value in fields.items() if name in OPTION_FIELDS}
    behaviour = {name: value for name, value in fields.items() if name not in OPTION_FIELDS}
    chosen = msgspec.convert(behaviour, Behaviour)
    return msgspec.convert({**options, "behaviour": msgspec.to_builtins(chosen)}, SandboxOptions)
