"""`recording-worker`, also as `python -m worker`."""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from worker.cli.exit_codes import report_error
from worker.cli.root import root


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. An expected error is one line on stderr, not a traceback.

    `arguments` are those of the process if None.
    """
    try:
        code = root.main(arguments, prog_name="recording-worker", standalone_mode=False)
    except Exception as error:
        known = report_error(error)
        if known is None:
            raise
        code = known
    if arguments is None and "obstore" in sys.modules:
        _end_process(code or 0)
    sys.exit(code or 0)


def _end_process(code: int) -> NoReturn:
    """End the process without the end of the interpreter.

    After a failed request, a thread of obstore may still hold objects of Python. If the interpreter
    ends meanwhile, the process is aborted (exit code 134).
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - flushes the logs
    with suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
