"""Faults that can be provoked: in one operation or all, a number of times, with a probability."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Literal, get_args

import msgspec

RefusalKind = Literal["refuse", "reset"]
LostResponseKind = Literal["lost_reset", "lost_hang", "lost_half", "lost_502", "lost_odd"]
UploadKind = Literal["no_files", "late_files", "late_urls", "late_audio"]
LifecycleKind = Literal["stuck_invoked", "fails_to_start", "fails_to_upload", "vanish"] | UploadKind
ResponseKind = Literal["late", "slow", "omit", "echo_body"]
WebhookKind = Literal[
    "webhook_drop", "webhook_duplicate", "webhook_delay", "webhook_reorder", "webhook_forge"
]
DownloadKind = Literal[
    "download_refuse",
    "download_expire",
    "download_redirect",
    "download_change",
    "download_slow",
    "download_stall",
    "download_truncate",
    "download_reset",
]
FaultKind = (
    RefusalKind | LostResponseKind | LifecycleKind | ResponseKind | WebhookKind | DownloadKind
)
Envelope = Literal["realtimekit", "cloudflare", "message", "html", "empty"]

OPERATIONS: frozenset[str] = frozenset(
    {
        "start_recording",
        "start_track_recording",
        "list_recordings",
        "active_recording",
        "get_recording",
        "change_recording",
        "list_sessions",
        "get_session",
        "list_participants",
        "get_participant",
        "active_session",
        "create_meeting",
        "get_meeting",
        "add_participant",
        "meeting_participants",
        "list_webhooks",
        "add_webhook",
        "list_webhook_events",
        "get_webhook",
        "replace_webhook",
        "edit_webhook",
        "delete_webhook",
    }
)
"""The operations of the API. `change_recording` is a stop, a pause or a resume."""

REFUSALS: frozenset[str] = frozenset({"refuse", "reset"})
LOST_RESPONSES: frozenset[str] = frozenset(get_args(LostResponseKind))


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault and its conditions. docs/reference/sandbox.md describes each kind.

    `operation` may contain `*`. `meeting_id` and `recording_id` must match if they are set. The
    first `skip` matches have no effect. Then the fault is triggered `count` times (None: without
    limit), each time with `probability`. `seconds` is its duration: in real time for late, slow,
    lost_hang, webhook_delay and downloads, in sandbox time for vanish and the faults of files.
    `location` is the target of a redirect; without it, redirects continue forever.

    Raises ValueError if no operation can trigger it.
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
    fields: tuple[str, ...] = ()
    location: str | None = None

    def __post_init__(self) -> None:
        if self.kind.startswith(("webhook_", "download_")):
            return  # these have the name of an event or of a file
        if not any(fnmatchcase(name, self.operation) for name in OPERATIONS):
            known = ", ".join(sorted(OPERATIONS))
            raise ValueError(f"operation {self.operation!r} is none of {known}")


class ActiveFault(msgspec.Struct, kw_only=True):
    """A fault, how many occasions matched it, and how many of them triggered it."""

    id: str
    fault: Fault
    matched: int = 0
    triggered: int = 0


class Faults:
    """All active faults. With a seed, the same occasions trigger the same faults."""

    def __init__(self, *, seed: int | None = None) -> None:
        self._random = Random(seed)
        self._active: dict[str, ActiveFault] = {}
        self._added = 0

    def add(self, fault: Fault) -> str:
        """Activate a fault. Returns its id, for `clear`."""
        self._added += 1
        fault_id = f"fault-{self._added}"
        self._active[fault_id] = ActiveFault(id=fault_id, fault=fault)
        return fault_id

    def clear(self, fault_id: str | None = None) -> None:
        """Deactivate one fault, or all. KeyError if there is no fault of this id."""
        if fault_id is None:
            self._active.clear()
        else:
            del self._active[fault_id]

    def active(self) -> list[ActiveFault]:
        """The active faults, including those that were triggered `count` times already."""
        return list(self._active.values())

    def trigger(
        self,
        kinds: Collection[str],
        *,
        operation: str,
        meeting_id: str | None = None,
        recording_id: str | None = None,
    ) -> Fault | None:
        """The first fault of these kinds that this occasion triggers. Counts the occasion."""
        for active in self._active.values():
            fault = active.fault
            if (
                fault.kind in kinds
                and _matches(fault, operation, meeting_id, recording_id)
                and self._is_triggered(active)
            ):
                return fault
        return None

    def _is_triggered(self, active: ActiveFault) -> bool:
        fault = active.fault
        if fault.count is not None and active.triggered >= fault.count:
            return False
        active.matched += 1
        if active.matched <= fault.skip or self._random.random() >= fault.probability:
            return False
        active.triggered += 1
        return True


def _matches(
    fault: Fault, operation: str, meeting_id: str | None, recording_id: str | None
) -> bool:
    return (
        fnmatchcase(operation, fault.operation)
        and fault.meeting_id in (None, meeting_id)
        and fault.recording_id in (None, recording_id)
    )
