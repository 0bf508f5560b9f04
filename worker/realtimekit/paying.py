"""Requests are paid for before they are made."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, Protocol

from worker.ledger import Limit, Priority


class Turn(NamedTuple):
    """How urgent a request is, and whether it waits for leave as long as it takes."""

    priority: Priority = Priority.ACT
    patient: bool = False


class Purse(Protocol):
    """What requests are paid from."""

    async def pay(self, priority: Priority, *, patient: bool) -> Any:  # noqa: ANN401 - the purse's own
        """Return when one request may be sent; what is returned is given back with `ended`.

        Raises OverBudget when one that is not `patient` would have to wait for too long.
        """

    def ended(self, paid: Any) -> None:  # noqa: ANN401 - the purse's own
        """The request is over, however it ended."""

    def heard(self, limits: Iterable[Limit]) -> None:
        """An answer told of limits."""

    def throttled(self, retry_after: float | None) -> None:
        """An answer told to make no requests for so many seconds, if it said for how many."""


class _Free:
    """Everything may be sent at once."""

    async def pay(self, priority: Priority, *, patient: bool) -> None:
        del priority, patient

    def ended(self, paid: None) -> None:
        del paid

    def heard(self, limits: Iterable[Limit]) -> None:
        del limits

    def throttled(self, retry_after: float | None) -> None:
        del retry_after


FREE: Final[Purse] = _Free()
