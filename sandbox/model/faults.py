"""Troubles that can be switched on: for one operation or all, so often, with some probability."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Literal

import msgspec

Before = Literal["refuse", "reset"]
After = Literal["lost_reset", "lost_hang", "lost_half", "lost_502"]
Lifecycle = Literal["stuck_invoked", "fails_to_start", "fails_to_upload", "no_files", "vanish"]
Answer = Literal["late", "slow", "omit", "echo_body"]
Webhook = Literal[
    "webhook_drop", "webhook_duplicate", "webhook_delay", "webhook_reorder", "webhook_forge"
]
FaultKind = Before | After | Lifecycle | Answer | Webhook
Envelope = Literal["realtimekit", "cloudflare", "message", "html", "empty"]

BEFORE: frozenset[str] = frozenset({"refuse", "reset"})
AFTER: frozenset[str] = frozenset({"lost_reset", "lost_hang", "lost_half", "lost_502"})


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One trouble, and when it strikes. docs/sandbox.md tells what each kind does.

    `operation` may hold `*`; `meeting_id` and `recording_id` narrow it down. It lets the first
    `skip` occasions pass, then strikes `count` times (None: for ever), each with `probability`.
    `seconds` is how long: of real time for late, slow, lost_hang and webhook_delay, of sandbox
    time for no_files and vanish.
    """

    kind: FaultKind
    operation: str = "*"
    meeting_id: str | None = None
    recording_id: str | None = None
    skip: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=1)] | None = None
    probability: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    envelope: Envelope = "realtimekit"
    code: int | None = None
    message: str | None = None
    retry_after: Annotated[float, msgspec.Meta(ge=0)] | None = None
    retry_after_date: bool = False
    members: tuple[str, ...] = ()


class Active(msgspec.Struct, kw_only=True):
    """A fault that is switched on: `seen` occasions that matched, `struck` times it struck."""

    id: str
    fault: Fault
    seen: int = 0
    struck: int = 0


class Faults:
    """All faults that are switched on. Seeded: the same occasions meet the same troubles."""

    def __init__(self, *, seed: int | None = None) -> None:
        self._random = Random(seed)
        self._active: dict[str, Active] = {}
        self._added = 0

    def add(self, fault: Fault) -> str:
        """Switch it on; the answer is its id, for `clear`."""
        self._added += 1
        fault_id = f"fault-{self._added}"
        self._active[fault_id] = Active(id=fault_id, fault=fault)
        return fault_id

    def clear(self, fault_id: str | None = None) -> None:
        """Switch one off, or all of them. KeyError when there is none of that id."""
        if fault_id is None:
            self._active.clear()
        else:
            del self._active[fault_id]

    def active(self) -> list[Active]:
        """Those switched on, also when they have struck as often as they may."""
        return list(self._active.values())

    def take(
        self,
        kinds: Collection[str],
        *,
        operation: str,
        meeting_id: str | None = None,
        recording_id: str | None = None,
    ) -> Fault | None:
        """The first fault of these kinds that strikes on this occasion. Counts the occasion."""
        for active in self._active.values():
            fault = active.fault
            if (
                fault.kind in kinds
                and _matches(fault, operation, meeting_id, recording_id)
                and self._strikes(active)
            ):
                return fault
        return None

    def _strikes(self, active: Active) -> bool:
        fault = active.fault
        if fault.count is not None and active.struck >= fault.count:
            return False
        active.seen += 1
        if active.seen <= fault.skip or self._random.random() >= fault.probability:
            return False
        active.struck += 1
        return True


def _matches(
    fault: Fault, operation: str, meeting_id: str | None, recording_id: str | None
) -> bool:
    return (
        fnmatchcase(operation, fault.operation)
        and fault.meeting_id in (None, meeting_id)
        and fault.recording_id in (None, recording_id)
    )
