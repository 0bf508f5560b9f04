"""One replica's access to a budget that all replicas share."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import structlog

from worker.aio import wait_until_set
from worker.budget.ledger import TokenGrant, TokenRequest
from worker.budget.pending_report import PendingReport
from worker.budget.priorities import Priority, Tier
from worker.budget.sliding_window import ReportedLimit
from worker.budget.token_pool import Token, TokenPool, usage_of
from worker.budget.wait_queue import WaitQueue
from worker.domain.errors import OverBudget, StoreUnavailable
from worker.domain.rate import Rate

MIN_REQUEST_INTERVAL_SECONDS: Final = 0.02
"""The shortest time between two requests to the ledger while they bring no token."""

MAX_REQUEST_INTERVAL_SECONDS: Final = 5.0
"""The ledger is read again after this time, because another replica may have returned tokens."""

PREFETCH_PAUSE_SECONDS: Final = 0.5
"""The pause of prefetching after the ledger had too few tokens."""

STORE_PAUSE_SECONDS: Final = 0.5
"""How long to wait after the store failed."""

CLOCK_STEP_SECONDS: Final = 1.0
"""If the last grant is further than this in the future, the clock was set back."""


class BudgetStore(Protocol):
    """The part of the state store that a budget needs."""

    def now(self) -> float:
        """The clock that all replicas share, in seconds since the epoch."""

    async def acquire_tokens(self, name: str, request: TokenRequest) -> TokenGrant:
        """Apply the request to the ledger of budget `name` and commit. Raises StoreUnavailable."""


class Budget:
    """Hands out tokens for requests to the API.

    Replicas that name the same budget in the same store share it.

    `name` identifies one API token, because the API counts requests by token. `rates` are the
    limits of all requests together; there is at least one. `max_wait` is how many seconds a request
    that is not patient may wait for its token. `on_grant` is called for each token with the seconds
    that the request waited, `on_rejection` for each request that raised OverBudget.

    Tokens are fetched in small blocks, with one commit for each block, so that a busy replica
    rarely waits for a commit. Tokens that are not used within two seconds are returned. Requests
    get tokens only while `run` is running.
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
        self._queue = WaitQueue()
        self._max_prefetch = max(min(rate.requests for rate in self._rates) // 20, 1)
        self._wakeup = asyncio.Event()
        self._report = PendingReport()
        self._last: TokenGrant | None = None
        self._prefetch_at = 0.0

    # For requests

    async def acquire(self, priority: Priority, *, patient: bool) -> Token:
        """Return a token for one request, which must be sent at once.

        Raises OverBudget when a request that is not `patient` would have to wait for more than
        `max_wait` seconds, and StoreUnavailable when the ledger cannot be read.
        """
        now = self._store.now()
        token = self._tokens.spend(priority.tier, now)
        if token is None:
            token = await self._wait(priority, now, patient=patient)
            self._on_grant(priority, self._store.now() - now)
            return token
        if now >= self._prefetch_at and any(
            self._tokens.tokens_to_prefetch(now, self._max_prefetch)
        ):
            self._wakeup.set()
        self._on_grant(priority, 0.0)
        return token

    def release(self, token: Token) -> None:
        """Report that the request sent with `token` has ended, with or without success."""
        if token.outlived_margin(self._store.now()):
            self._report.late.append(usage_of(token.at, token.tier))
            self._wakeup.set()

    def record_limits(self, limits: Iterable[ReportedLimit]) -> None:
        """Record the limits in an API response, because other programs may use the same token."""
        self._report.add_limits(limits, self._store.now())
        if self._report.has_pause:
            self._tokens.drop_all()
        if self._report.has_pause or self._has_usage_of_others():
            self._wakeup.set()

    def pause(self, retry_after: float | None) -> None:
        """The API throttles: send no requests for `retry_after` seconds, on any replica.

        None means that the API asked for no pause. Then a stop may probe the API every second,
        while all other requests pause.
        """
        pause = self._report.add_pause(retry_after, self._store.now())
        structlog.get_logger().warning("api_throttled", budget=self._name, pause_seconds=pause)
        self._tokens.drop_all()
        self._wakeup.set()

    def record_success(self) -> None:
        """The API executed a request, so it does not throttle all requests."""
        self._report.record_success()

    # For metrics

    def remaining(self) -> int | None:
        """The quota that was left at the last grant; None before the first."""
        return self._last.left if self._last else None

    def paused_for(self) -> float:
        """The seconds for which nothing but stops may be sent because the API throttles."""
        return max(self._last.paused_until - self._store.now(), 0.0) if self._last else 0.0

    # The loop

    async def run(self) -> None:
        """Fetch tokens as requests need them, until cancelled; then return unused tokens."""
        try:
            while True:
                await self._run_once()
        finally:
            self._tokens.drop_all()
            if unspent := self._tokens.take_unspent(self._store.now()):
                with contextlib.suppress(StoreUnavailable):
                    await self._store.acquire_tokens(
                        self._name, TokenRequest(rates=self._rates, unspent=unspent)
                    )

    async def _run_once(self) -> None:
        self._wakeup.clear()
        now = self._store.now()
        if self._last and self._last.at > now + CLOCK_STEP_SECONDS:
            self._forget_grant(now)
        request = self._next_request(now)
        if request is None:
            self._queue.reject_unservable(now, [self._available_at(tier) for tier in Tier])
            await self._sleep(now)
            return
        try:
            self._last = await self._fetch(request)
        except StoreUnavailable as error:
            await self._recover(request, error)
            return
        self._hand_out(self._last, request)

    def _next_request(self, now: float) -> TokenRequest | None:
        """The request to send to the ledger now. None if no request is necessary."""
        needed = self._queue.count(now)
        may_prefetch = now >= self._prefetch_at
        ahead = (
            self._tokens.tokens_to_prefetch(now, self._max_prefetch) if may_prefetch else (0, 0, 0)
        )
        unspent = self._tokens.take_unspent(now)
        may_succeed = any(needed[tier] and now >= self._next_request_at(tier) for tier in Tier)
        report = self._report
        must_report = unspent or report.late or report.has_pause or self._has_usage_of_others()
        if not (may_succeed or any(ahead) or must_report):
            return None
        request = TokenRequest(
            rates=self._rates,
            needed=needed,
            ahead=ahead,
            unspent=unspent,
            late=tuple(report.late),
            limits=report.limits(now),
            paused_for=report.pause,
            stops_paused_for=report.stops_pause,
        )
        report.clear()
        return request

    async def _fetch(self, request: TokenRequest) -> TokenGrant:
        """Send the request. When cancelled meanwhile, keep the tokens so that they can go back."""
        fetching = asyncio.ensure_future(self._store.acquire_tokens(self._name, request))
        try:
            return await asyncio.shield(fetching)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreUnavailable):
                self._tokens.add(await fetching)
            raise

    async def _recover(self, request: TokenRequest, error: StoreUnavailable) -> None:
        # The request may have been committed. Therefore `unspent` is not returned a second time.
        self._report.put_back(request)
        self._queue.reject_all(error)
        await asyncio.sleep(STORE_PAUSE_SECONDS)

    def _hand_out(self, grant: TokenGrant, request: TokenRequest) -> None:
        now = self._store.now()
        if any(request.ahead) and sum(grant.tokens) < sum(request.needed) + sum(request.ahead):
            self._prefetch_at = now + PREFETCH_PAUSE_SECONDS
        self._tokens.add(grant)
        if self._report.has_pause:  # reported by the API since the request
            self._tokens.drop_all()
        self._queue.dispatch(self._tokens.spend, now)
        self._queue.reject_unservable(now, [self._available_at(tier) for tier in Tier])

    async def _sleep(self, now: float) -> None:
        """Sleep until a request arrives or the loop has work to do."""
        until = min(self._wakeup_times(now), default=None)
        await wait_until_set(self._wakeup, None if until is None else max(until - now, 0.0))

    def _wakeup_times(self, now: float) -> Iterator[float]:
        needed = self._queue.count(now)
        yield from (self._next_request_at(tier) for tier in Tier if needed[tier])
        yield from self._queue.wakeup_times()
        if (expires_at := self._tokens.expires_at()) is not None:
            yield expires_at

    # Derived from grants and reports

    def _forget_grant(self, now: float) -> None:
        """Forget the last grant, because the clock was set back and the grant's times are in the
        future."""
        self._last, self._prefetch_at = None, 0.0
        self._tokens.drop_all()
        self._queue.restart_waits(now)

    def _has_usage_of_others(self) -> bool:
        """Whether the API reports less quota than our own requests explain: others use it, too."""
        known = self._last.left - self._max_prefetch if self._last else 0
        return self._report.has_less_than(known)

    def _available_at(self, tier: Tier) -> float:
        """When there may be a token of this tier, by the last grant."""
        return self._last.at + self._last.waits[tier] if self._last else 0.0

    def _next_request_at(self, tier: Tier) -> float:
        """When to ask the ledger for a token of this tier again."""
        if self._last is None:
            return 0.0
        wait = max(self._last.waits[tier], MIN_REQUEST_INTERVAL_SECONDS)
        return self._last.at + min(wait, MAX_REQUEST_INTERVAL_SECONDS)

    async def _wait(self, priority: Priority, now: float, *, patient: bool) -> Token:
        waiter = self._queue.enqueue(priority, now, None if patient else now + self._max_wait)
        self._wakeup.set()
        try:
            return await waiter.token
        except OverBudget:
            self._on_rejection(priority)
            raise
        except asyncio.CancelledError:
            has_token = waiter.token.done() and not waiter.token.cancelled()
            if has_token and waiter.token.exception() is None:
                self._tokens.put_back(waiter.token.result())
            raise
