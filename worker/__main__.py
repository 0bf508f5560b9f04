"""`recording-worker`, also as `python -m worker`."""

import sys
from collections.abc import Sequence

from worker.cli.exit_codes import report_error
from worker.cli.root import root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. An expected error is one line on stderr, not a traceback."""
    try:
        code = root.main(arguments, prog_name="recording-worker", standalone_mode=False)
    except Exception as error:
        known = report_error(error)
        if known is None:
            raise
        code = known
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
