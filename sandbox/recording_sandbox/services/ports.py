"""Free TCP ports on loopback, reserved for this process."""

import random
import socket
from typing import Final

PORT_RANGE: Final = (15_000, 32_000)
"""Below the range of outgoing connections, which could take a free port before the server does."""


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports on loopback on which no process listens.

    While this process lives, this function gives them to no other process. That also holds before a
    server listens on the port, and between its end and its next start.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(*PORT_RANGE)
        if _reserve(port):
            ports.append(port)
    return ports


def _reserve(port: int) -> bool:
    """Whether the port is free, and is now reserved for this process.

    The reservation is the UDP port of the same number, which stays bound until this process ends.
    No other program uses it.
    """
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
        except OSError:
            return False
        udp.detach()
    return True


def listens(port: int) -> bool:
    """Whether a server accepts TCP connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
