"""A private RabbitMQ node on this machine.

It listens on free loopback ports, keeps its files in one directory, and has its own port mapper. If
its owner ends, even by SIGKILL, no processes or files remain.
"""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from recording_sandbox.services.port_mapper import PortMapper
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import (
    LaunchError,
    OwnedDirectory,
    OwnedProcess,
    run,
    wait_until,
    with_open_files,
)
from recording_sandbox.services.rabbitmq import RabbitMQNode, speaks_amqp
from recording_sandbox.services.rabbitmq_program import (
    BOOT_ARGUMENTS,
    booting_at_once,
    without_plugins,
)
from recording_sandbox.services.service import BOOT_TIMEOUT_SECONDS, STOP_TIMEOUT_SECONDS

NODE_NAME = "rabbit@localhost"

ERLANG_ARGUMENTS: Final = (
    # One scheduler that does not spin: it saves CPU on small machines and boots as fast.
    "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1} "
    # When RabbitMQ publishes a dead letter again that its queue did not take. The default is 180 s.
    "-rabbit dead_letter_worker_publisher_confirm_timeout 5000 " + BOOT_ARGUMENTS
)

MAX_OPEN_FILES: Final = 65_536
"""RabbitMQ reserves files for each quorum queue. With 1,024 it takes no connection any more once it
has some hundred queues, and says nothing."""

LOG_LEVEL: Final = "log.file.level = warning\n"
"""Without it, a tenth of the work of a new queue is its log lines, which are not needed."""


class ClusterMembership(msgspec.Struct, frozen=True, kw_only=True):
    """A node's place in a cluster: its name, and the parts that it shares with the other nodes.

    `home` has the cookie that all nodes share. The caller starts and stops `mapper`. `peers` are
    the names of all nodes, including this one, if it joins nodes that already run.
    """

    name: str
    home: Path
    mapper: PortMapper
    peers: Sequence[str] = ()

    @property
    def discovery(self) -> str:
        """The lines of rabbitmq.conf that let it join the peers at its first start."""
        backend = "cluster_formation.peer_discovery_backend = classic_config\n"
        nodes = (
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(self.peers, start=1)
        )
        return backend + "".join(nodes) if self.peers else ""


class LocalNode(RabbitMQNode):
    """A node of the installed RabbitMQ.

    Without a membership it has its own port mapper, cookie and home. `configuration` is appended
    to its rabbitmq.conf.
    """

    def __init__(
        self,
        scripts: Path,
        directory: Path | None = None,
        membership: ClusterMembership | None = None,
        *,
        configuration: str = "",
    ) -> None:
        self._scripts = scripts
        self._configuration = configuration
        self._owned = OwnedDirectory("rabbitmq-") if directory is None else None
        self.directory = self._owned.path if self._owned else directory or Path()
        self.directory.mkdir(exist_ok=True)
        self.port, self._dist_port = free_ports(2)
        self.amqp_url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._own_mapper: PortMapper | None = None
        if membership is None:
            self._own_mapper = PortMapper(self.directory)
            home = self.directory / "home"
            membership = ClusterMembership(name=NODE_NAME, home=home, mapper=self._own_mapper)
        self._environ = self._prepare(membership)
        self._broker: OwnedProcess | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def _prepare(self, membership: ClusterMembership) -> dict[str, str]:
        membership.home.mkdir(parents=True, exist_ok=True)
        config = self.directory / "rabbitmq.conf"
        listener = f"listeners.tcp.local = 127.0.0.1:{self.port}\n"
        config.write_text(listener + LOG_LEVEL + membership.discovery + self._configuration)
        plugins = self.directory / "enabled_plugins"
        plugins.write_text("[].\n")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        own = {
            "HOME": str(membership.home),
            "RABBITMQ_NODENAME": membership.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
            # Makes the script become the node, instead of waiting for it in a shell.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        program = {
            **without_plugins(self._scripts, self.directory / "program"),
            **booting_at_once(self.directory),
        }
        return inherited | own | program | dict(membership.mapper.environ)

    @property
    def running(self) -> bool:
        """Whether the broker process runs."""
        return self._broker is not None and self._broker.running

    @property
    def pid(self) -> int | None:
        """The broker's process id, which is also the id of its session; None while it is down."""
        return self._broker.pid if self._broker is not None and self._broker.running else None

    def start(self) -> None:
        """Start it unless it runs, and return when it accepts connections: about four seconds."""
        broker = self._broker
        if broker is None or not broker.running:
            broker = self._broker = self._booting()
        wait_until(
            lambda: not broker.running or speaks_amqp(self.port),
            seconds=BOOT_TIMEOUT_SECONDS,
            otherwise=lambda: f"RabbitMQ did not start:\n{broker.log_tail()}",
        )
        if not broker.running:
            raise LaunchError(f"RabbitMQ ended while starting:\n{broker.log_tail()}")

    def _booting(self) -> OwnedProcess:
        if self._own_mapper is not None:
            self._own_mapper.start()
        return OwnedProcess(
            with_open_files(MAX_OPEN_FILES, [str(self._scripts / "rabbitmq-server")]),
            environ=self._environ,
            log=self.directory / "boot.log",
        )

    def stop(self) -> None:
        """Shut it down cleanly. Durable data is kept for the next start. Takes about a second."""
        if self._broker is not None:
            self._broker.end(signal.SIGTERM, seconds=STOP_TIMEOUT_SECONDS)
        self._stop_port_mapper()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._broker is not None:
            self._broker.kill()
        self._stop_port_mapper()

    def _stop_port_mapper(self) -> None:
        if self._own_mapper is not None:
            self._own_mapper.stop()

    def close(self) -> None:
        """Stop it permanently, and delete its directory if that is temporary. May be called
        again."""
        if self._owned is None:
            self.stop()
            return
        self.kill()
        self._owned.remove()

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`. Returns its stdout. Takes a second of CPU: prefer `evaluate`."""
        command = [str(self._scripts / "rabbitmqctl"), "--quiet", *arguments]
        return run(command, environ=self._environ)

    def evaluate(self, expressions: str) -> str:
        """Evaluate Erlang expressions in the node, by Erlang's own small program if it is there."""
        program = shutil.which("erl_call")
        if program is None:
            return super().evaluate(expressions)
        command = [program, "-R", "-sname", self._environ["RABBITMQ_NODENAME"], "-e"]
        answer = run(command, environ=self._environ, stdin=f"{expressions}\n")
        if not answer.startswith("{ok, "):
            raise LaunchError(f"RabbitMQ did not evaluate the expressions:\n{answer}")
        return answer.removeprefix("{ok, ").removesuffix("}")
