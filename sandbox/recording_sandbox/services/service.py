"""The common interface of brokers and databases: start, stop, kill, close."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self

from recording_sandbox.services.install import Container, can_apt, can_docker, docker_pull
from recording_sandbox.services.processes import LaunchError, print_progress, wait_until

BOOT_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0


class Closable(ABC):
    """As a context manager it is closed at the end. All methods block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Stop it permanently and delete its data. May be called again."""


class Service(Closable):
    """A running server. In an event loop, call the methods by `asyncio.to_thread`.

    Its address and its durable data survive `stop`, `kill` and `start`. `external` is true if we
    did not start it.
    """

    external = False

    @abstractmethod
    def start(self) -> None:
        """Start it unless it runs, and return when it is ready."""

    @abstractmethod
    def stop(self) -> None:
        """Shut it down cleanly, as an operator would. Clients are disconnected."""

    @abstractmethod
    def kill(self) -> None:
        """Kill it, as a crash would."""

    def restart(self) -> None:
        """Shut it down cleanly and start it again."""
        self.stop()
        self.start()


class ExternalService(Service):
    """A server that we did not start. It can be used, but not stopped or killed.

    `unmanaged_message` says so, and what to do instead.
    """

    external = True
    unmanaged_message: str

    def start(self) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Raises LaunchError."""
        raise LaunchError(self.unmanaged_message)

    def kill(self) -> None:
        """Raises LaunchError."""
        raise LaunchError(self.unmanaged_message)

    def close(self) -> None:
        """Does nothing."""


class ContainedService(Service):
    """A server in a container. `is_ready` checks whether it accepts clients."""

    def __init__(self, name: str, container: Container, is_ready: Callable[[], bool]) -> None:
        self._name = name
        self._container = container
        self._is_ready = is_ready
        self._await_boot()

    def _await_boot(self) -> None:
        wait_until(
            self._is_ready,
            seconds=BOOT_TIMEOUT_SECONDS,
            otherwise=lambda: f"{self._name} did not start:\n{self._container.log_tail()}",
        )

    def start(self) -> None:
        """Start it, and return when it is ready."""
        self._container.start()
        self._await_boot()

    def stop(self) -> None:
        """Shut it down cleanly."""
        self._container.stop()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._container.kill()

    def close(self) -> None:
        """Remove the container with its data. May be called again."""
        self._container.remove()


def find_or_install(
    name: str,
    find: Callable[[], Path | None],
    install: Callable[[], None],
    image: str,
    *,
    alternatives: str,
) -> Path | None:
    """Find the programs of a server, or install them, or pull its docker image. May take minutes.

    Returns the directory of its programs, or None if the docker image is there instead.

    Raises:
        LaunchError: if all of that is impossible. The text has the `alternatives`.
    """
    programs = find()
    if programs is None and can_apt():
        print_progress(f"{name} is not installed; installing it with apt, which takes a minute …")
        install()
        programs = find()
    if programs is None and can_docker():
        docker_pull(image)
    elif programs is None:
        raise LaunchError(f"{name} is not available. Do one of these: {alternatives}")
    return programs
