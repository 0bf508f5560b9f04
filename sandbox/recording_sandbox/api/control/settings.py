"""Controls the sandbox's rules: faults, behaviour, clock, tokens, the key of webhooks."""

import msgspec

from recording_sandbox.api.call import Reply
from recording_sandbox.api.control.call import ControlBody, ControlCall, ControlRoute
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model.errors import NotFound, Refusal
from recording_sandbox.model.faults import Fault


class ClockChange(ControlBody, frozen=True, kw_only=True):
    """Another speed, a jump forward in seconds, or both."""

    speed: float | None = None
    advance: float | None = None


class TokenChange(ControlBody, frozen=True, kw_only=True):
    """A token that becomes valid, and one that becomes invalid."""

    allow: str | None = None
    revoke: str | None = None


class SettingsControl:
    """The paths `/sandbox/{faults,behaviour,clock,tokens}` and the rotation of the key."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[ControlRoute]:
        """Method, path and handler of each."""
        return [
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("DELETE", "/faults/{fault_id}", self._clear_faults),
            ("GET", "/behaviour", self._behaviour),
            ("PATCH", "/behaviour", self._change_behaviour),
            ("GET", "/clock", self._clock),
            ("PATCH", "/clock", self._change_clock),
            ("POST", "/tokens", self._change_tokens),
            ("POST", "/webhooks/rotate-key", self._rotate_key),
        ]

    def _faults(self, call: ControlCall) -> Reply:
        del call
        return Reply(data=self._state.faults.active())

    def _add_fault(self, call: ControlCall) -> Reply:
        return Reply(data={"id": self._state.faults.add(call.decode(Fault))}, status=201)

    def _clear_faults(self, call: ControlCall) -> Reply:
        try:
            self._state.faults.clear(call.path.get("fault_id"))
        except KeyError as error:
            raise NotFound("fault") from error
        return self._faults(call)

    def _behaviour(self, call: ControlCall) -> Reply:
        del call
        return Reply(data=self._state.behaviour)

    def _change_behaviour(self, call: ControlCall) -> Reply:
        try:
            self._state.behaviour.change(call.decode(dict[str, object]))
        except msgspec.ValidationError as error:
            raise Refusal(400, str(error)) from error
        return self._behaviour(call)

    def _clock(self, call: ControlCall) -> Reply:
        del call
        return Reply(data={"now": self._state.clock.now(), "speed": self._state.clock.speed})

    def _change_clock(self, call: ControlCall) -> Reply:
        change, clock = call.decode(ClockChange), self._state.clock
        try:
            if change.speed is not None:
                clock.set_speed(change.speed)
            clock.advance(change.advance or 0.0)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        return self._clock(call)

    def _change_tokens(self, call: ControlCall) -> Reply:
        change = call.decode(TokenChange)
        if change.revoke:
            self._state.tokens.revoke(change.revoke)
        if change.allow:
            self._state.tokens.allow(change.allow)
        return Reply(data={})

    def _rotate_key(self, call: ControlCall) -> Reply:
        del call
        self._state.webhook_sender.signer.rotate()
        return Reply(data={"webhook_key_url": self._state.addresses.webhook_key_url})
