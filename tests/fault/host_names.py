"""A process's own table of host names, which others may change while it runs."""

import os
from collections.abc import Sequence
from pathlib import Path


class HostNameTable:
    """A hosts file that first has only localhost. The machine's own file does not change.

    `within` is the command prefix that runs a program with this file and without DNS: bubblewrap.
    Tests therefore take the fixture of that name.
    """

    def __init__(self, directory: Path) -> None:
        self._table = directory / "hosts"
        self._table.write_text("127.0.0.1 localhost\n")
        order = directory / "nsswitch.conf"
        order.write_text("hosts: files\n")
        everything = ["--dev-bind", "/", "/"]
        own = ["--ro-bind", str(self._table), "/etc/hosts"]
        alone = ["--ro-bind", str(order), "/etc/nsswitch.conf"]
        self.within: Sequence[str] = ["bwrap", "--die-with-parent", *everything, *own, *alone, "--"]

    def add(self, name: str) -> None:
        """Let this name resolve to this machine from now on."""
        with self._table.open("a") as table:  # write in place: the process has mounted this file
            table.write(f"127.0.0.1 {name}\n")
            table.flush()
            os.fsync(table.fileno())
