"""The archive's own threads, for calls that block.

A storage that hangs occupies a thread for a minute or more. Other parts of the worker need theirs.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

MAX_THREADS: Final = 8
_threads: Final = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="archive-blocking")


async def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """The result of a call that another thread makes."""
    return await asyncio.get_running_loop().run_in_executor(_threads, call, *arguments)
