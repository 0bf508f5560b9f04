"""A worker that freezes itself (SIGSTOP) when it has committed its claim to its first start.

It has not seen the answer to the commit. It goes on at SIGCONT.
"""

import os
import signal
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event

from worker.__main__ import main


def install() -> None:
    """Let the worker come to the point once."""
    claimed: list[bool] = []
    frozen: list[bool] = []

    def on_execute(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if statement.startswith("INSERT INTO inbox") and "start_track_recording" in str(parameters):
            claimed.append(True)

    commit: Any = sa.engine.default.DefaultDialect.do_commit

    def do_commit(self: Any, connection: Any) -> None:
        commit(self, connection)
        if claimed and not frozen:
            frozen.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)

    sqlalchemy.event.listen(sa.Engine, "after_cursor_execute", on_execute)
    sa.engine.default.DefaultDialect.do_commit = do_commit  # type: ignore[method-assign]


if __name__ == "__main__":
    install()
    main(["run"])
