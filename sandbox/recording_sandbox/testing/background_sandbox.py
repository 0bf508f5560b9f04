"""A sandbox for tests of any style: its methods block, and may be called from any thread."""

from collections.abc import Callable
from typing import Self, TypeVar

import msgspec

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.faults import Fault
from recording_sandbox.model.log_entries import RequestEntry
from recording_sandbox.model.request_log import RequestLog
from recording_sandbox.testing.background_loop import BackgroundLoop

T = TypeVar("T")


class BackgroundSandbox:
    """`with BackgroundSandbox(loop, options) as sandbox:` serves until the block ends."""

    def __init__(self, loop: BackgroundLoop, options: SandboxOptions | None = None) -> None:
        self.loop = loop
        self._sandbox = Sandbox(options)

    def __enter__(self) -> Self:
        self.loop.run(self._sandbox.__aenter__())
        return self

    def __exit__(self, *_error: object) -> None:
        self.loop.run(self._sandbox.__aexit__(None, None, None))

    @property
    def base_url(self) -> str:
        """The base URL of the API, ending in `/client/v4`: configure your client with it."""
        return self._sandbox.base_url

    @property
    def webhook_key_url(self) -> str:
        """The address of the public key that verifies webhooks."""
        return self._sandbox.webhook_key_url

    @property
    def control_url(self) -> str:
        """The address of the control plane, for programs in other languages."""
        return self._sandbox.control_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that configure a worker to use this sandbox."""
        return self._sandbox.environment

    def call(self, function: Callable[[Sandbox], T]) -> T:
        """The result of `function(sandbox)`, which runs in the sandbox's event loop."""

        async def run() -> T:
            return function(self._sandbox)

        return self.loop.run(run())

    def add_fault(self, kind: str, **conditions: object) -> str:
        """Activate a fault, such as `add_fault("refuse", operation="start_*", count=1)`.

        Returns its id. Raises `msgspec.ValidationError`, which names the field, if it is invalid.
        """
        fault = msgspec.convert({"kind": kind, **conditions}, Fault)
        return self.call(lambda sandbox: sandbox.faults.add(fault))

    def clear_faults(self, fault_id: str | None = None) -> None:
        """Deactivate one fault, or all."""
        self.call(lambda sandbox: sandbox.faults.clear(fault_id))

    def change(self, **behaviour: object) -> None:
        """Set fields of the behaviour, such as `change(no_session_status=404)`.

        Raises `msgspec.ValidationError`, which names the field, if one is invalid.
        """
        self.call(lambda sandbox: sandbox.behaviour.change(behaviour))

    def advance(self, seconds: float) -> None:
        """Let `seconds` of sandbox time pass at once."""
        self.call(lambda sandbox: sandbox.clock.advance(seconds))

    def requests(self, operation: str | None = None) -> list[RequestEntry]:
        """The requests that the API got, oldest first: all, or those of one operation."""
        requests = self.call(lambda sandbox: list(sandbox.request_log.requests))
        return [request for request in requests if operation in {None, request.operation}]

    def wait_for(self, fact: Callable[[RequestLog], T | None], *, seconds: float = 30.0) -> T:
        """The first value of `fact(request_log)` that is true.

        Raises:
            TimeoutError: if there is none within `seconds`.
        """
        return self.loop.run(self._sandbox.request_log.until(fact, within=seconds))
