"""Loopback TCP ports that no other process of this machine is given."""

import random
import socket
from typing import Final

PORTS: Final = (15_000, 32_000)


def free_ports(count: int) -> list[int]:
    """`count` different TCP ports on loopback that nobody listens on.

    For as long as this process lives no other that asks here is given them, also before a server
    has come up on one and between its end and its next start. They are from below the range that
    outgoing connections are given theirs from: one of those could take such a port as well.
    """
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(*PORTS)
        if _reserve(port):
            ports.append(port)
    return ports


def _reserve(port: int) -> bool:
    """Whether it is free and now ours: the UDP port of the same number, which nobody uses, says so
    to everybody else. It is kept until this process ends."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
        except OSError:
            return False
        udp.detach()
    return True


def listens(port: int) -> bool:
    """Whether somebody takes TCP connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
