"""Sockets that listen on every address of the machine, or on those of a host name."""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Any, Final

EVERY_ADDRESS: Final = "::"
"""The host that means every address of both kinds."""

_NO_IPV6: Final = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT}


Address = tuple[int, tuple[Any, ...]]
"""The family of an address, and the address with its port as sockets take it."""


async def listen_on(host: str, port: int) -> list[socket.socket]:
    """Listen on a host's addresses, or on every address; 0 picks a free port.

    Raises OSError, for instance when the port is in use.
    """
    if host == EVERY_ADDRESS:
        return [listen_everywhere(port)]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return listen_on_addresses(dict.fromkeys((family, address) for family, *_, address in found))


def listen_on_addresses(addresses: Iterable[Address]) -> list[socket.socket]:
    """Listen on these addresses. One of IPv6 that this machine lacks is left out, if it has others.

    `localhost` is often such a name: also where IPv6 is off, it has an address of IPv6.
    """
    sockets: list[socket.socket] = []
    left_out: OSError | None = None
    for family, address in addresses:
        port = sockets[0].getsockname()[1] if sockets else address[1]
        try:
            sockets.append(socket.create_server((address[0], port, *address[2:]), family=family))
        except OSError as error:
            if family != socket.AF_INET6 or error.errno not in _NO_IPV6:
                _close(sockets)
                raise
            left_out = error
    if not sockets and left_out is not None:
        raise left_out
    return sockets


def _close(sockets: Iterable[socket.socket]) -> None:
    for listening in sockets:
        listening.close()


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
