"""One RabbitMQ, and one server that forks workers, for all processes of a test run.

A node takes several seconds of CPU to start. The process that hands out the tests starts the node
when the first of the others asks for it, and evaluates expressions for them. It starts the fork
server likewise.
"""

import secrets
import threading
from multiprocessing.managers import BaseManager
from typing import Any, Final

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_sandbox.services.service import ExternalService
from tests.forked_process import FORK_SERVER

EXPOSED: Final = ("amqp_url", "port", "ctl", "evaluate")


def launch_shared_node() -> RabbitMQNode:
    """The broker that tests share.

    Tests leave hundreds of quorum queues behind, and each counts its messages at every tick.
    """
    node = launch_rabbitmq()
    if not node.external:
        node.evaluate("application:set_env(rabbit, quorum_tick_interval, 60000).")
    return node


class _Owner:
    """The node in the process that owns it, started by the first call of any method."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._node: RabbitMQNode | None = None

    def amqp_url(self) -> str:
        return self._launched().amqp_url

    def port(self) -> int:
        return self._launched().port

    def ctl(self, *arguments: str) -> str:
        return self._launched().ctl(*arguments)

    def evaluate(self, expressions: str) -> str:
        return self._launched().evaluate(expressions)

    def _launched(self) -> RabbitMQNode:
        with self._lock:
            if self._node is None:
                self._node = launch_shared_node()
            return self._node

    def close(self) -> None:
        with self._lock:
            if self._node is not None:
                self._node.close()


_OWNER: Final = _Owner()


class _ForkServerOwner:
    """The fork server in the process that owns it, started by the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def address(self) -> bytes:
        assert FORK_SERVER is not None
        with self._lock:
            return FORK_SERVER.listen()


_FORK_SERVER_OWNER: Final = _ForkServerOwner()


class _Manager(BaseManager):
    """Calls the methods of one process's owners from other processes."""


_Manager.register("node", callable=lambda: _OWNER, exposed=EXPOSED)
_Manager.register("fork_server", callable=lambda: _FORK_SERVER_OWNER, exposed=("address",))


def _connected(address: str, key: str) -> Any:
    manager = _Manager(address=address, authkey=key.encode())
    manager.connect()
    return manager


def fork_server_address(address: str, key: str) -> bytes:
    """Where the host's fork server listens."""
    return bytes(_connected(address, key).fork_server().address())


class BrokerHost:
    """Offers a node and a fork server to other processes, which need its `address` and `key`."""

    def __init__(self) -> None:
        self.key = secrets.token_hex(16)
        server = _Manager(authkey=self.key.encode()).get_server()
        self.address = str(server.address)
        threading.Thread(target=server.serve_forever, name="broker-host", daemon=True).start()

    def close(self) -> None:
        """Stop the broker host and the fork server."""
        _OWNER.close()
        if FORK_SERVER is not None:
            FORK_SERVER.close()


class SharedNode(ExternalService, RabbitMQNode):
    """The node of another process, which alone may stop it."""

    unmanaged_message = "All tests use this broker. Take private_rabbitmq to stop or kill one."

    def __init__(self, address: str, key: str) -> None:
        self._node: Any = _connected(address, key).node()
        self.amqp_url = self._node.amqp_url()
        self.port = self._node.port()

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`. Returns its stdout."""
        return str(self._node.ctl(*arguments))

    def evaluate(self, expressions: str) -> str:
        """Evaluate Erlang expressions in the node."""
        return str(self._node.evaluate(expressions))
