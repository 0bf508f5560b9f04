"""`recording-worker`, also as `python -m worker`."""

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from worker.cli.default_signals import ending_action


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process without a traceback, while there is no command to report it.

    SIGTERM ends it too, until `run` has its own handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, ending_action())
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # a background job ignores it
        return
    signal.signal(signal.SIGINT, ending_action())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


with _interruptible():  # these imports take most of the time of a start
    from worker.cli.exit_codes import report_error
    from worker.cli.root import root
    from worker.domain.escaping import ENCODING_ERRORS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. An expected error is one line on stderr, not a traceback."""
    _open_standard_streams()
    _escape_unencodable_output()
    try:
        code = root.main(arguments, prog_name="recording-worker", standalone_mode=False)
    except Exception as error:
        known = report_error(error)
        if known is None:
            raise
        code = known
    sys.exit(code or 0)


def _open_standard_streams() -> None:
    """Open the standard streams that the caller closed, as `recording-worker run <&-` does.

    Otherwise the next socket gets the number of one, and uvloop ends the process when it closes it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, mode))


def _escape_unencodable_output() -> None:
    """Escape what the encoding of a terminal or pipe lacks, as in Latin-1 or in cp1252 on Windows.

    Otherwise one name in Chinese ends a command with a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ENCODING_ERRORS)


if __name__ == "__main__":
    main()
