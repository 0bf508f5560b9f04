"""One replica's way to the budget that all of them share."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import structlog

from worker.aio import wait_until_set
from worker.budget.ledger import Spent, TokenGrant, TokenRequest
from worker.budget.priorities import Priority, Tier
from worker.budget.sliding_window import Limit
from worker.budget.token_pool import Token, TokenPool, spent
from worker.budget.wait_queue import WaitQueue
from worker.domain.errors import OverBudget, StoreUnavailable
from worker.domain.rate import Rate

UNTOLD_PAUSE_SECONDS: Final = 60.0
"""How long to leave the API alone when it throttles and does not say for how long."""

SOONEST_SECONDS: Final = 0.02
"""The least time between two questions that found nothing."""

LATEST_SECONDS: Final = 5.0
"""How long an answer is believed: somebody may have given something back since."""

PLENTY_SECONDS: Final = 0.5
"""How long not to ask ahead after there was too little for that."""

STORE_PAUSE_SECONDS: Final = 0.5

SET_BACK_SECONDS: Final = 1.0
"""The clock was set back when the last answer is so much later than now."""


class BudgetStore(Protocol):
    """The part of the state store that a budget needs."""

    def now(self) -> float:
        """The clock that all replicas share, in seconds since the epoch."""

    async def acquire_tokens(self, name: str, request: TokenRequest) -> TokenGrant:
        """Apply the request to the ledger of budget `name` and commit. Raises StoreUnavailable."""


class Budget:
    """Leave for requests to the API, shared by all who name the same budget in the same store.

    `name` stands for what the API counts by: one token. `rates` are the windows that all requests
    together keep to; there is at least one. `patience` is how long a request that a command waits
    for may wait, in seconds. `waited` hears of each payment and how long it took, `refused` of each
    that was not to be had in time.

    Leave comes in small blocks, one commit for each, so that a busy replica rarely waits for one;
    what is not used within two seconds goes back. `run` must be running for anything to be paid.
    """

    def __init__(
        self,
        store: BudgetStore,
        name: str,
        rates: Iterable[Rate],
        *,
        max_wait: float = 5.0,
        on_grant: Callable[[Priority, float], None] = lambda _priority, _seconds: None,
        on_rejection: Callable[[Priority], None] = lambda _priority: None,
    ) -> None:
        self._store = store
        self._name = name
        self._rates = tuple(rates)
        self._max_wait = max_wait
        self._on_grant = on_grant
        self._on_rejection = on_rejection
        self._tokens = TokenPool()
        self._line = WaitQueue()
        self._most_ahead = max(min(rate.requests for rate in self._rates) // 20, 1)
        self._wanted = asyncio.Event()
        self._late: list[Spent] = []
        self._limits: dict[Rate, Limit] = {}
        self._pause = 0.0
        self._last: TokenGrant | None = None
        self._plenty_at = 0.0

    # For requests

    async def acquire(self, priority: Priority, *, patient: bool) -> Token:
        """Return when one request may be sent, which must be done at once.

        Raises OverBudget when a request that is not `patient` would have to wait for too long, and
        StoreUnavailable when the budget cannot be asked.
        """
        now = self._store.now()
        token = self._tokens.spend(priority.tier, now)
        if token is None:
            token = await self._wait(priority, now, patient=patient)
            self._on_grant(priority, self._store.now() - now)
            return token
        if now >= self._plenty_at and any(self._tokens.prefetch(now, self._most_ahead)):
            self._wanted.set()
        self._on_grant(priority, 0.0)
        return token

    def release(self, token: Token) -> None:
        """The request that was paid with `token` is over, however it ended."""
        if token.is_late(self._store.now()):
            self._late.append(spent(token.at, token.tier))
            self._wanted.set()

    def record_limits(self, limits: Iterable[Limit]) -> None:
        """An answer told of these limits: others may be using the same token."""
        for limit in limits:
            known = self._limits.get(limit.rate, limit)
            lower = min((one.left for one in (known, limit) if one.left is not None), default=None)
            self._limits[limit.rate] = Limit(limit.rate, lower)
        if self._is_shut():
            self._tokens.drop()
        if self._is_shut() or self._has_news():
            self._wanted.set()

    def pause(self, retry_after: float | None) -> None:
        """The API wants no requests for so many seconds: nobody is to send any."""
        pause = UNTOLD_PAUSE_SECONDS if retry_after is None else retry_after
        structlog.get_logger().warning("api_throttled", budget=self._name, pause_seconds=pause)
        self._pause = max(self._pause, pause)
        self._tokens.drop()
        self._wanted.set()

    # For people

    def remaining(self) -> int | None:
        """Requests that were left when last asked; None before that."""
        return self._last.left if self._last else None

    def paused_for(self) -> float:
        """The seconds for which nobody is to send anything, because the API said so."""
        return max(self._last.paused_until - self._store.now(), 0.0) if self._last else 0.0

    # The loop

    async def run(self) -> None:
        """Ask for leave as it is needed, for ever; when cancelled, give back what is in hand."""
        try:
            while True:
                await self._turn()
        finally:
            self._tokens.drop()
            if unspent := self._tokens.unspent(self._store.now()):
                with contextlib.suppress(StoreUnavailable):
                    await self._store.acquire_tokens(
                        self._name, TokenRequest(rates=self._rates, unspent=unspent)
                    )

    async def _turn(self) -> None:
        self._wanted.clear()
        now = self._store.now()
        if self._last and self._last.at > now + SET_BACK_SECONDS:
            self._forget()
        ask = self._ask(now)
        if ask is None:
            self._line.reject_expired(now, [self._free_at(tier) for tier in Tier])
            await self._rest(now)
            return
        try:
            self._last = await self._settled(ask)
        except StoreUnavailable as error:
            # Whether it was committed is not known: nothing is given back twice.
            self._late += ask.late
            self._pause = max(self._pause, ask.paused_for)
            self._line.fail(error)
            await asyncio.sleep(STORE_PAUSE_SECONDS)
            return
        self._have(self._last, ask)

    async def _settled(self, ask: TokenRequest) -> TokenGrant:
        """What the store gives; also when cancelled meanwhile, so that it can go back."""
        asking = asyncio.ensure_future(self._store.acquire_tokens(self._name, ask))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreUnavailable):
                self._tokens.add(await asking)
            raise

    def _have(self, grant: TokenGrant, ask: TokenRequest) -> None:
        now = self._store.now()
        wanted = sum(ask.needed) + sum(ask.ahead)
        if any(ask.ahead) and sum(grant.tokens) < wanted:
            self._plenty_at = now + PLENTY_SECONDS
        self._tokens.add(grant)
        if self._is_shut():  # that was heard while we asked
            self._tokens.drop()
        self._line.dispatch(self._tokens.spend, now)
        self._line.reject_expired(now, [self._free_at(tier) for tier in Tier])

    def _ask(self, now: float) -> TokenRequest | None:
        """What to ask and to tell now; None when there is nothing."""
        needed = self._line.needed(now)
        ahead = (
            self._tokens.prefetch(now, self._most_ahead) if now >= self._plenty_at else (0, 0, 0)
        )
        unspent = self._tokens.unspent(now)
        hopeful = any(needed[tier] and now >= self._again_at(tier) for tier in Tier)
        to_tell = unspent or self._late or self._is_shut() or self._has_news()
        if not (hopeful or any(ahead) or to_tell):
            return None
        ask = TokenRequest(
            rates=self._rates,
            needed=needed,
            ahead=ahead,
            unspent=unspent,
            late=tuple(self._late),
            limits=tuple(self._limits.values()),
            paused_for=self._pause,
        )
        self._late, self._limits, self._pause = [], {}, 0.0
        return ask

    def _forget(self) -> None:
        """What was learned by a clock that has been set back since would hold for as long again."""
        self._last, self._plenty_at = None, 0.0
        self._tokens.drop()

    def _is_shut(self) -> bool:
        """Whether the API has told what others must hear before anything more is sent."""
        return self._pause > 0 or any(limit.left == 0 for limit in self._limits.values())

    def _has_news(self) -> bool:
        """Whether so much less is left than was known that somebody else must be spending."""
        known = self._last.left - self._most_ahead if self._last else 0
        return any(limit.left is not None and limit.left < known for limit in self._limits.values())

    def _free_at(self, tier: Tier) -> float:
        """When there may be a token of this tier, by the last answer."""
        return self._last.at + self._last.waits[tier] if self._last else 0.0

    def _again_at(self, tier: Tier) -> float:
        """When to ask for a token of this tier again."""
        if self._last is None:
            return 0.0
        wait = min(max(self._last.waits[tier], SOONEST_SECONDS), LATEST_SECONDS)
        return self._last.at + wait

    async def _rest(self, now: float) -> None:
        """Until something is wanted, or there is something to do by itself."""
        until = min(self._moments(now), default=None)
        await wait_until_set(self._wanted, None if until is None else max(until - now, 0.0))

    def _moments(self, now: float) -> Iterator[float]:
        needed = self._line.needed(now)
        yield from (self._again_at(tier) for tier in Tier if needed[tier])
        yield from self._line.moments()
        if (expires_at := self._tokens.expires_at()) is not None:
            yield expires_at

    async def _wait(self, priority: Priority, now: float, *, patient: bool) -> Token:
        waiter = self._line.enqueue(priority, now, None if patient else now + self._max_wait)
        self._wanted.set()
        try:
            return await waiter.token
        except OverBudget:
            self._on_rejection(priority)
            raise
        except asyncio.CancelledError:
            given = waiter.token.done() and not waiter.token.cancelled()
            if given and waiter.token.exception() is None:
                self._tokens.put_back(waiter.token.result())
            raise
