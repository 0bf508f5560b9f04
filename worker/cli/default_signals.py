"""What ends this process at a signal.

`worker.__main__` imports this module before all others, so it imports nothing that is slow.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

_Action = Callable[[int, FrameType | None], object] | signal.Handlers


def ending_action() -> _Action:
    """The action for a signal that must end this process at once.

    It is the kernel's default. In the first process of a container the kernel ignores a signal with
    the default action, so there it is a handler that exits as a shell reports such an end.
    """
    return _exit if os.getpid() == 1 else signal.SIG_DFL


def _exit(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
