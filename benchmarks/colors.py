"""The colours of the plots."""

from typing import Final

OURS: Final = "#c2410c"
OTHERS: Final = "#94a3b8"
