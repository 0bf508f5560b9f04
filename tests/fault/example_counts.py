"""How many examples a property is tried with: `make test` tries a few, `make faults` many more."""

import os
from typing import Final

FACTOR: Final = int(os.environ.get("FAULT_EXAMPLES", "1"))


def examples(usual: int) -> int:
    """`usual`, times FAULT_EXAMPLES."""
    return usual * FACTOR
