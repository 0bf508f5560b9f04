"""A worker that freezes itself (SIGSTOP) in the middle of a transaction, or right after one.

FREEZE_AT says where:

- `claimed`: the claim of its first start is committed, but the worker has not seen the answer;
- `claim`: its first start is written to the inbox, and the transaction is open;
- `lease`: it renews the leader's lease, and the transaction is open. Before that it waits for
  the file FREEZE_FILE.

SIGCONT resumes the worker.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event

from worker.__main__ import main
from worker.store.database.direct import STATEMENT_WATCHERS
from worker.store.database.transaction_runner import TransactionRunner


class FreezePoint:
    """Freezes this process once, at the point."""

    def __init__(self, point: str, file: Path) -> None:
        self._point = point
        self._file = file
        self._claimed_by: int | None = None
        self._frozen = False

    def install(self) -> None:
        """Let the worker freeze at the point."""
        transaction = TransactionRunner.transaction

        @contextmanager
        def until_committed(runner: TransactionRunner) -> Iterator[sa.Connection]:
            with transaction(runner) as connection:
                yield connection
            if self._point == "claimed" and self._claimed_by == threading.get_ident():
                self._freeze()

        sqlalchemy.event.listen(sa.Engine, "after_cursor_execute", self._on_execute)
        STATEMENT_WATCHERS.append(self._on_statement)
        TransactionRunner.transaction = until_committed  # type: ignore[method-assign, assignment]

    def _on_execute(
        self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any
    ) -> None:
        self._on_statement(statement, parameters)

    def _on_statement(self, statement: str, parameters: Any) -> None:
        if statement.startswith("INSERT INTO inbox") and "start_track_recording" in str(parameters):
            self._claimed_by = threading.get_ident()  # of two threads with transactions
            if self._point == "claim":
                self._freeze()
        is_renewed = statement.startswith("UPDATE leases")
        if self._point == "lease" and is_renewed and self._file.exists():
            self._freeze()

    def _freeze(self) -> None:
        if not self._frozen:
            self._frozen = True
            # To this thread: sent to the process, it might still send the commit.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


if __name__ == "__main__":
    FreezePoint(os.environ.get("FREEZE_AT", ""), Path(os.environ.get("FREEZE_FILE", ""))).install()
    main(["run"])
