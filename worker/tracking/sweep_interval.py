"""How often to sweep: as is wanted, as the API's budget allows, and as webhooks make needful."""

import msgspec


class SweepInterval(msgspec.Struct, kw_only=True):
    """The seconds from the beginning of one sweep to that of the next.

    `base` is what is wanted, `rate` the requests a second that sweeps may use, and `audit` the
    longest interval while webhooks are seen to tell everything.
    """

    base: float
    audit: float
    rate: float
    pages: int = 1
    stretch: float = 1.0

    @property
    def least(self) -> float:
        """What the budget asks for: pages are paid one by one."""
        return self.pages / self.rate

    @property
    def floor(self) -> float:
        """The interval while nothing is known to make sweeping less urgent."""
        return max(self.base, self.least)

    @property
    def interval(self) -> float:
        """The interval now."""
        return max(self.floor, min(self.floor * self.stretch, self.audit))

    def record_sweep(self, pages: int, *, told: bool) -> None:
        """A sweep took so many pages; webhooks told of something since the one before, or not."""
        self.pages = max(pages, 1)
        self.stretch = min(self.stretch * 2, max(self.audit / self.floor, 1.0)) if told else 1.0

    def record_miss(self) -> None:
        """No webhook told of a change that a sweep has found."""
        self.stretch = 1.0
