"""A PostgreSQL connection on which nothing is waited for without an end.

`statement_timeout` is the server's to keep, and TCP's own time-outs trust whoever acknowledges:
with a proxy or a load balancer in between, both can be silent for ever.
"""

import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.waiting import Ready

ResultT = TypeVar("ResultT")

WAIT_INTERVAL_SECONDS: Final = 0.25


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself when one exchange with the server takes longer than `patience` seconds."""

    patience: float = 20.0

    def wait(
        self,
        gen: Generator[Any, Any, ResultT],
        interval: float = WAIT_INTERVAL_SECONDS,
        *args: Any,  # noqa: ANN401 - whatever else the driver gives
        **more: Any,  # noqa: ANN401
    ) -> ResultT:
        """Wait for an exchange to end. Raises psycopg.OperationalError when it takes too long."""
        bounded = self._bounded(gen, time.monotonic() + self.patience)
        return super().wait(bounded, min(interval, WAIT_INTERVAL_SECONDS), *args, **more)

    def _bounded(
        self, gen: Generator[Any, Any, ResultT], until: float
    ) -> Generator[Any, Any, ResultT]:
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == Ready.NONE and time.monotonic() >= until:
                    self.close()
                    raise psycopg.OperationalError(
                        f"the database was silent for {self.patience:g} s"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            result: ResultT = end.value
            return result
