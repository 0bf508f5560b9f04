"""`recording-sandbox`, also as `python -m recording_sandbox`."""

import os
import sys

from recording_sandbox.cli import sandbox


def main() -> None:
    """Serve the emulated API until SIGTERM or SIGINT."""
    _open_standard_streams()
    sandbox(prog_name="recording-sandbox")


def _open_standard_streams() -> None:
    """Open those that the caller closed. Else a socket gets the number of one, and uvloop ends the
    process when it closes it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, os.fdopen(number, "w" if number else "r"))
    os.close(number)


if __name__ == "__main__":
    main()
