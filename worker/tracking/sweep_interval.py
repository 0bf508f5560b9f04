"""How often to sweep: as configured, as the API budget allows, and as webhooks make necessary."""

import msgspec


class SweepInterval(msgspec.Struct, kw_only=True):
    """The seconds from the beginning of one sweep to the beginning of the next.

    `base` is the configured interval. `rate` is the requests per second that sweeps may use.
    `audit` is the longest interval while webhooks report every change.
    """

    base: float
    audit: float
    rate: float
    pages: int = 1
    stretch: float = 1.0

    @property
    def budget_interval(self) -> float:
        """The shortest interval that the budget allows, because each page costs one request."""
        return self.pages / self.rate

    @property
    def base_interval(self) -> float:
        """The interval while webhooks report nothing."""
        return max(self.base, self.budget_interval)

    @property
    def interval(self) -> float:
        """The present interval."""
        return max(self.base_interval, min(self.base_interval * self.stretch, self.audit))

    def record_sweep(self, pages: int, *, any_webhook: bool) -> None:
        """A sweep took `pages` requests.

        `any_webhook`: at least one webhook arrived since the sweep before.
        """
        self.pages = max(pages, 1)
        longest = max(self.audit / self.base_interval, 1.0)
        self.stretch = min(self.stretch * 2, longest) if any_webhook else 1.0

    def record_miss(self) -> None:
        """A sweep found a change that no webhook reported."""
        self.stretch = 1.0
