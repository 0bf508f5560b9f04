"""One row of the inbox: the stored state of a command. Pure.

`database/schema.py` shows the states. Times are seconds since the epoch by the clock that all
replicas share.
"""

from typing import Final, Literal

import msgspec

from worker.domain.command_keys import START_TYPES
from worker.domain.meeting_participants import People

MAX_COMMAND_LEASE_EXCESS_SECONDS: Final = 600.0
"""The lease of another replica's command may end this much later than ours would, because replicas
may have other settings. One that ends later was written while the clock was ahead."""

CommandState = Literal["running", "waiting", "done"]


class InboxRow(msgspec.Struct, frozen=True):
    """A row of the table: one field per column, with the column's name."""

    command_id: str
    command_type: str
    first_seen_at: float
    state: CommandState = "waiting"
    attempts: int = 0
    crashes: int = 0
    alone: bool = False
    slot: str | None = None
    holds: str | None = None
    called_at: float | None = None
    last_called_at: float | None = None
    lease_owner: str | None = None
    lease_until: float | None = None
    last_error: str | None = None
    outcome: str | None = None
    finished_at: float | None = None
    reply: str | None = None
    acted_on: str | None = None
    cancelled_by: str | None = None
    stops_slot: str | None = None
    waits_since: float | None = None
    woken_at: float | None = None
    app: str | None = None
    people: str | None = None
    digest: str | None = None
    stopping: str | None = None

    @property
    def is_placeholder(self) -> bool:
        """Whether the command was never attempted: a stop cancelled it in advance, or the row only
        reserves the id."""
        return self.attempts == 0 and self.state != "done"

    @property
    def is_start(self) -> bool:
        """Whether the command is a start that has arrived."""
        return self.command_type in START_TYPES

    @property
    def may_be_parked(self) -> bool:
        """Whether the command was parked, and not claimed since."""
        return self.waits_since is not None and self.woken_at is None

    @property
    def age_from(self) -> float:
        """The time from which its age counts: it does not grow while the command is parked."""
        return self.first_seen_at if self.woken_at is None else self.woken_at

    @property
    def is_unsent_start(self) -> bool:
        """Whether the command is an unfinished start that has certainly not called the API."""
        return self.is_start and self.state == "waiting" and not self.may_have_called

    @property
    def acted_on_ids(self) -> tuple[str, ...]:
        """The recordings of `acted_on`, and those that a dead attempt was about to act on."""
        return tuple(dict.fromkeys((*_ids(self.acted_on), *_ids(self.stopping))))

    @property
    def people_called(self) -> People | None:
        """The participants that a call of this start may have asked for."""
        if self.people is None or not self.may_have_called:
            return None
        return msgspec.json.decode(self.people, type=People)

    @property
    def surplus_ids(self) -> tuple[str, ...]:
        """The recordings beyond the first one, for a start that is done."""
        return self.acted_on_ids if self.is_start and self.state == "done" else ()

    @property
    def may_have_called(self) -> bool:
        """Whether a start may have reached the API and got no answer."""
        return self.called_at is not None

    def is_leased(self, now: float) -> bool:
        """Whether a replica executes the command and its lease still lasts."""
        return self.state == "running" and (self.lease_until or 0.0) > now

    def is_leased_to_another(self, owner: str, now: float) -> bool:
        """Whether a replica other than `owner` executes the command."""
        return self.lease_owner != owner and self.is_leased(now)

    def is_of_other_body(self, digest: str | None) -> bool:
        """Whether the digest belongs to another body. Rows of older versions have none."""
        return None not in {self.digest, digest} and self.digest != digest

    def with_possible_lease(self, now: float, lease_seconds: float) -> "InboxRow":
        """The row with a lease that ends in time.

        A clock that was far ahead may have written the lease. No replica holds it for longer than
        `lease_seconds` from now.
        """
        longest = now + lease_seconds
        if (self.lease_until or 0.0) <= longest + MAX_COMMAND_LEASE_EXCESS_SECONDS:
            return self
        return msgspec.structs.replace(self, lease_until=longest)

    def ended_in_a_crash(self, owner: str) -> bool:
        """Whether the process of the last attempt died while no other crash suspect ran.

        A failed commit also leaves the row running, but under the same owner.
        """
        return self.state == "running" and self.lease_owner != owner and self.alone

    def may_call(self, now: float, reconcile_seconds: float) -> bool:
        """Whether a start may call the API now: it never called, or enough time has passed since
        its call."""
        return not self.may_have_called or now - self.last_call(now) >= reconcile_seconds

    def last_call(self, now: float) -> float:
        """The last moment at which a call may have been sent; 0 if there was none.

        If the process of an attempt died, the time of its last call is not stored. Then the call
        may have been sent until now, or until the lease ended.
        """
        stored = self.last_called_at or 0.0
        if self.state != "running":
            return stored
        return max(stored, min(now, self.lease_until or now))


def _ids(text: str | None) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
