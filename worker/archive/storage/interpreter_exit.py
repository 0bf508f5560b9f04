"""Prevents an abort of the process at the end of the interpreter.

A thread of obstore releases its Python objects shortly after a call has returned. If the
interpreter ends meanwhile, it kills the thread in a way that Rust does not allow (SIGABRT). obstore
does not show when its threads are idle. The figures are in
docs/adr/0030-the-archive-copies-with-obstore.md.
"""

import atexit
import time
from functools import cache
from typing import Final

SETTLE_SECONDS: Final = 0.1


@cache
def settle_at_exit() -> None:
    """Let the interpreter wait for these threads before it ends."""
    atexit.register(time.sleep, SETTLE_SECONDS)
