"""Searches a text with a regular expression, but not for long.

Python tries every way in which a pattern may match. With nested repeats, such as `([a-z]+)*x`, some
texts of fifty characters would take years. Nothing else runs meanwhile, not even the probes.
"""

import re
import signal
import threading
import time
from types import FrameType


def search_within(pattern: re.Pattern[str], text: str, seconds: float) -> bool:
    """Whether the pattern is in the text.

    Raises TimeoutError after this much CPU time of the thread. Only in the main thread, because
    only there a signal interrupts the search.
    """
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(text) is not None
    ends = time.thread_time() + seconds
    is_searching = True

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_searching
        if is_searching and time.thread_time() < ends:
            return  # other threads have used the time
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)  # here, because it may be the last moment
        if is_searching:
            is_searching = False
            raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        return pattern.search(text) is not None
    finally:
        is_searching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
