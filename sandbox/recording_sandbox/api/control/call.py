"""One request to the control plane."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec
from aiohttp import web

from recording_sandbox.api import validation
from recording_sandbox.api.call import Reply

T = TypeVar("T")


class ControlCall(msgspec.Struct, frozen=True):
    """Path parameters, query parameters and body of a request."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes

    def decode(self, kind: type[T]) -> T:
        """The body as a `kind`; an absent body counts as `{}`. Raises Refusal (400)."""
        return validation.decode(self.body, kind)


ControlHandler = Callable[[ControlCall], Reply | web.Response]
ControlRoute = tuple[str, str, ControlHandler]
"""Method, path below `/sandbox`, handler."""


class ControlBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object in which an unknown field is an error."""
