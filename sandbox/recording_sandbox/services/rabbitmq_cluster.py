"""A cluster of private RabbitMQ nodes on this machine, for tests that lose some of them."""

import base64
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from recording_sandbox.services.port_mapper import PortMapper
from recording_sandbox.services.processes import LaunchError, OwnedDirectory
from recording_sandbox.services.rabbitmq_launch import ensure_rabbitmq
from recording_sandbox.services.rabbitmq_local import ClusterMembership, LocalNode
from recording_sandbox.services.service import Closable


def launch_cluster(nodes: int = 3) -> "RabbitMQCluster":
    """A running cluster of this number of nodes. Takes about 15 seconds.

    Raises:
        LaunchError: if RabbitMQ is not installed and cannot be. The text says what to do.
    """
    scripts = ensure_rabbitmq()
    if scripts is None:
        raise LaunchError("A cluster needs RabbitMQ itself, not docker. Install rabbitmq-server.")
    return RabbitMQCluster(scripts, nodes)


class QuorumQueue(msgspec.Struct, frozen=True):
    """A replicated queue: its leader, and the online nodes that have it.

    The number of messages may be five seconds old.
    """

    name: str
    leader: str
    online: list[str]
    messages: int


_QUEUES: Final = f"""
base64:encode_to_string(rabbit_json:encode([
    maps:from_list([{{name, Name}} | Facts])
    || Queue <- rabbit_amqqueue:list(<<"/">>),
       [{{name, {{resource, _, _, Name}}}} | Facts] <-
           [rabbit_amqqueue:info(Queue, [{", ".join(QuorumQueue.__struct_fields__)}])]])).
"""


class RabbitMQCluster(Closable):
    """Nodes by name. Each can be stopped, killed and started on its own.

    A node keeps its name, port and durable data, and joins the others again when it starts. As a
    context manager the cluster is closed at the end. All methods block.
    """

    def __init__(self, scripts: Path, nodes: int) -> None:
        self._owned = OwnedDirectory("rabbitmq-cluster-")
        self._home = self._owned.path / "home"
        self._mapper = PortMapper(self._owned.path)
        self._scripts = scripts
        self._names = [f"rabbit{number}@localhost" for number in range(1, nodes + 1)]
        self.nodes: dict[str, LocalNode] = {}
        try:
            self._form()
        except BaseException:
            self.close()
            raise

    def _form(self) -> None:
        """Start the first node alone, then the others concurrently; they find it and join it."""
        self._write_cookie()
        self._mapper.start()
        first, *others = self._names
        self._launch(first, peers=())
        with ThreadPoolExecutor(max_workers=max(1, len(others))) as executor:
            list(executor.map(lambda name: self._launch(name, peers=self._names), others))

    def _write_cookie(self) -> None:
        self._home.mkdir()
        cookie = self._home / ".erlang.cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)  # Erlang refuses a cookie that other users can read.

    def _launch(self, name: str, *, peers: Sequence[str]) -> None:
        membership = ClusterMembership(name=name, home=self._home, mapper=self._mapper, peers=peers)
        directory = self._owned.path / name.partition("@")[0]
        self.nodes[name] = LocalNode(self._scripts, directory, membership)

    @property
    def running_nodes(self) -> list[LocalNode]:
        """The running nodes, in the order of their names."""
        return [self.nodes[name] for name in self._names if self.nodes[name].running]

    def queues(self) -> list[QuorumQueue]:
        """The queues as a running node reports them.

        Raises:
            LaunchError: if no node runs.
        """
        for node in self.running_nodes[:1]:
            rows = base64.b64decode(node.evaluate(_QUEUES).strip('"'))
            return msgspec.json.decode(rows, type=list[QuorumQueue])
        raise LaunchError("No node of the cluster runs.")

    def queue(self, name: str) -> QuorumQueue:
        """The queue as a running node reports it.

        Raises:
            LaunchError: if no node runs, or there is no such queue.
        """
        for queue in self.queues():
            if queue.name == name:
                return queue
        raise LaunchError(f"The cluster has no quorum queue {name}.")

    def close(self) -> None:
        """Stop all nodes permanently and delete their data. May be called again."""
        for node in self.nodes.values():
            node.kill()
        self._mapper.stop()
        self._owned.remove()
