"""A socket that listens on every address of the machine, of IPv4 and of IPv6."""

import errno
import socket
from typing import Final

EVERY_ADDRESS: Final = "::"
"""The host that means every address of both kinds."""

_NO_IPV6: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


def listen_everywhere(port: int) -> socket.socket:
    """Listen on a port of every address; 0 picks a free port. Where IPv6 is off, IPv4 is enough.

    Raises OSError, for instance when the port is in use.
    """
    try:
        return socket.create_server(
            (EVERY_ADDRESS, port), family=socket.AF_INET6, dualstack_ipv6=True
        )
    except (OSError, ValueError) as error:  # ValueError: this system has no such sockets
        if isinstance(error, OSError) and error.errno not in _NO_IPV6:
            raise
        return socket.create_server(("0.0.0.0", port))  # noqa: S104
