"""Notices replicas that have ended. Their work is free within seconds, not after their leases.

On PostgreSQL each replica holds a lock in its own session (`database/lock_session.py`). When its
process dies, the server ends the session and releases the lock. All replicas check for free locks
twice a second. If a lock stays free for GRACE_SECONDS, its replica has ended. Then another replica
takes over its work (`taking_over`).

- Killed: the session ends at once.
- Host without power: the session ends when the server's keepalives get no answer, after 15 s.
- Frozen: the session continues, so the leases protect the replica until they end.
- Running, but the session ended, because the connection broke or the server was restarted: others
  may take over. Two rules make that safe:
  1. A start calls right after it has claimed its command or has read the claim again. So its call
     ends at most `call_seconds` after the takeover, or is not sent.
  2. The leader acts only while its session was checked in the last PROOF_SECONDS. That is less
     than the grace.
- Without a session: only leases decide. This is so with SQLite, with a pooler in transaction mode,
  and for older versions. Only a replica with a row in `replica_sessions` is judged by its lock. A
  replica that cannot get a session removes its row.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from worker.aio import wait_until_set
from worker.domain.errors import StoreUnavailable
from worker.store.database.clock import boottime
from worker.store.database.group_commit import GroupCommit
from worker.store.database.lock_session import LockSession
from worker.store.database.notifications import Notifier
from worker.store.repeated_warning import RepeatedWarning
from worker.store.taking_over import EndedReplica, take_over, unregister

CHECK_INTERVAL_SECONDS: Final = 0.5
PROOF_SECONDS: Final = 1.5
GRACE_SECONDS: Final = 2.0
"""Longer than a proof. After a restart of PostgreSQL, each replica has this long for a new session.
"""

SETTLE_SECONDS: Final = 0.5
"""The broker may deliver a dead replica's command before PostgreSQL has ended its session."""

MAX_WAIT_SECONDS: Final = 5.0
HURRIED_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 10.0


class Replicas:
    """This replica's session, and its knowledge of the others.

    `parameters` returns those of the driver's next `connect`; None: there are no sessions, and only
    leases decide.

    `now` is the clock of all replicas, in epoch seconds.
    """

    def __init__(
        self,
        group: GroupCommit,
        notifier: Notifier,
        parameters: Callable[[], dict[str, Any]] | None,
        *,
        now: Callable[[], float],
    ) -> None:
        self._group = group
        self._notifier = notifier
        self._parameters = parameters
        self._now = now
        self._owner: str | None = None
        self._call_seconds = 0.0
        self._is_registered: bool | None = None  # None: a row of an earlier run may be there
        self._session: LockSession | None = None
        self._session_warning = RepeatedWarning("replica_session_lost")
        self._checked_at = float("-inf")
        self._checked = asyncio.Event()
        self._free_since: dict[str, float] = {}
        self._ended: set[str] = set()
        self.has_joined = asyncio.Event()
        """Set once this replica has had its session, or has failed to get it."""
        self.generation = 0
        """Grows whenever the rules for this replica change between lock and leases. Another
        replica may have taken over an earlier lease meanwhile."""

    def is_proved(self) -> bool:
        """Whether its leases certainly last: no other replica can have taken them over."""
        return not self._is_registered or boottime() < self._checked_at + PROOF_SECONDS

    async def has_ended(self, owner: str, *, waited: float) -> bool:
        """Whether another replica has ended, so that its claims are free. Waits for the answer.

        `waited`: the seconds since the broker delivered the command. Returns within five seconds.
        True is a hint: a replica may only have been without its session for a moment. The next
        claim decides.
        """
        began = boottime()
        was_free = False
        while self._session is not None and boottime() < began + MAX_WAIT_SECONDS:
            is_free = owner in self._free_since
            was_free |= is_free
            if owner in self._ended:
                return True
            if not is_free and self._checked_at >= began - waited + SETTLE_SECONDS:
                return was_free
            await wait_until_set(self._checked, CHECK_INTERVAL_SECONDS)
        return False

    async def run(self, owner: str, *, call_seconds: float) -> None:
        """Hold a session, and take over from replicas that have ended, forever.

        `call_seconds`: a call to the API ends at most this long after the last proof of its claim.
        Returns if there are no sessions.
        """
        if self._parameters is None:
            self.has_joined.set()
            return
        self._owner, self._call_seconds = owner, call_seconds
        failures = 0
        while True:
            if await self._hold_session(owner, self._parameters()):
                failures = 0
            else:
                failures += 1
                await self._work_by_leases(owner)
            self.has_joined.set()
            await asyncio.sleep(random.uniform(0, self._longest_pause(failures)))

    def _longest_pause(self, failures: int) -> float:
        """While others judge this replica by its lock, it tries to get it again without a pause."""
        if self._is_registered:
            return HURRIED_PAUSE_SECONDS
        return min(HURRIED_PAUSE_SECONDS * 2.0 ** min(failures, 10), MAX_PAUSE_SECONDS)

    async def leave(self) -> None:
        """Release this replica's work, because it does nothing any more. `run` has been
        cancelled."""
        if self._owner is not None:
            with contextlib.suppress(StoreUnavailable):  # then another replica takes over
                await self._group.run(take_over, self._ended_replica(self._owner, is_own=True))

    async def _hold_session(self, owner: str, parameters: Mapping[str, Any]) -> bool:
        """Hold one session until it is lost. Returns whether it lasted for at least one check."""
        import psycopg  # SQLite does not need this driver

        has_checked = False
        try:
            self._session = await LockSession.open(parameters, owner)
            self._is_registered = True  # before other replicas may see it
            await self._session.register()
            self._change_generation()
            while True:
                await self._check_others(self._session, owner)
                has_checked = True
                self._session_warning.worked()
                self.has_joined.set()
                await asyncio.sleep(CHECK_INTERVAL_SECONDS)
        except (psycopg.Error, OSError, TimeoutError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            self._session_warning.failed(lines[0][:300])
            return has_checked
        finally:
            self._close_session()

    async def _check_others(self, session: LockSession, owner: str) -> None:
        began = boottime()
        free = await session.find_unlocked()
        if owner in free:
            raise OSError("the lock of this replica is gone")
        was_long_ago = began - self._checked_at > PROOF_SECONDS
        before = {} if was_long_ago else self._free_since
        self._free_since = {replica: before.get(replica, began) for replica in free}
        self._checked_at = began
        for replica, since in sorted(self._free_since.items()):
            if began - since >= GRACE_SECONDS:
                await self._take_over(replica)
        self._checked.set()
        self._checked = asyncio.Event()

    async def _take_over(self, owner: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # then at the next check
            commands = await self._group.run(take_over, self._ended_replica(owner))
            del self._free_since[owner]
            self._ended.add(owner)
            if commands is not None:
                structlog.get_logger().warning("replica_taken_over", dead=owner, commands=commands)

    def _ended_replica(self, owner: str, *, is_own: bool = False) -> EndedReplica:
        return EndedReplica(
            owner=owner, now=self._now(), call_seconds=self._call_seconds, is_own=is_own
        )

    async def _work_by_leases(self, owner: str) -> None:
        """Switch to leases: the others judge this replica by them until it has a new session.

        Once is enough: each change of the generation interrupts the leader for a moment.
        """
        if self._is_registered is False:
            return
        with contextlib.suppress(StoreUnavailable):  # then this replica does not lead
            await self._group.run(unregister, owner)
            self._is_registered = False
            self._change_generation()

    def _change_generation(self) -> None:
        self.generation += 1
        self._notifier.notify({"lease"})

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None
        self._free_since = {}
