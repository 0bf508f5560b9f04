"""How long to wait before the next attempt. Pure, except for the random share."""

import math
import random
from typing import Final

FIRST_SECONDS: Final = 1.0
MAX_DOUBLINGS: Final = 30


def pause_after(attempts: int, longest: float) -> float:
    """The pause after this many failed attempts, in seconds: it doubles from one second on.

    A tenth is random, so that files that failed together are not tried again together.
    """
    doublings = min(max(attempts - 1, 0), MAX_DOUBLINGS)
    return min(math.ldexp(FIRST_SECONDS, doublings), longest) * random.uniform(0.9, 1.0)
