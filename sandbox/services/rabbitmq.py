"""A RabbitMQ to play with: the one named by AMQP_URL, else a private node on this machine.

A private node listens on free loopback ports, keeps everything in one directory, has a port
mapper of its own, and leaves neither processes nor files behind, however its owner ends.
"""

import socket
from abc import abstractmethod
from urllib.parse import urlsplit

from sandbox.services.install import Container
from sandbox.services.ports import free_ports
from sandbox.services.processes import LaunchError
from sandbox.services.service import (
    ContainedService,
    ExternalService,
    Service,
)

DOCKER_IMAGE = "rabbitmq:4"


class RabbitMQNode(Service):
    """A running broker, on the loopback port `port`."""

    amqp_url: str
    port: int

    @abstractmethod
    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for these arguments; takes about half a second."""

    def set_memory_alarm(self, on: bool) -> None:
        """Raise the memory alarm, which blocks every connection that publishes, or clear it."""
        self.ctl("set_vm_memory_high_watermark", "0.000001" if on else "0.4")


class ExternalNode(ExternalService, RabbitMQNode):
    """Somebody else's broker."""

    not_ours = (
        "The broker that AMQP_URL names is not ours to manage: unset AMQP_URL, or ask for "
        "a private one with launch_rabbitmq(private=True)."
    )

    def __init__(self, amqp_url: str) -> None:
        self.amqp_url = amqp_url
        self.port = urlsplit(amqp_url).port or 5672

    def ctl(self, *arguments: str) -> str:
        """Refused."""
        raise LaunchError(self.not_ours)


class DockerNode(ContainedService, RabbitMQNode):
    """A broker in a container."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.amqp_url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        container = Container(DOCKER_IMAGE, publish={self.port: 5672})
        super().__init__("RabbitMQ", container, lambda: speaks_amqp(self.port))

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for these arguments."""
        return self._container.execute("rabbitmqctl", "--quiet", *arguments)


def speaks_amqp(port: int) -> bool:
    """Whether a broker answers the AMQP 0-9-1 greeting; a port mapping alone does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
