"""What a broker and a database have in common when they stand in for the world: their life."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.services.install import Container, can_apt, can_docker, docker_pull
from sandbox.services.processes import LaunchError, print_progress, wait_until

BOOT_SECONDS = 60.0
STOP_SECONDS = 30.0


class Service(ABC):
    """A running server. All methods block; call them through `asyncio.to_thread` from a loop.

    Where it is reached stays the same over `stop`, `kill` and `start`, and so does what is
    durable. Used as a context manager it is closed at the end. `external` says that it is
    somebody else's.
    """

    external = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Return when it answers; nothing happens when it runs already."""

    @abstractmethod
    def stop(self) -> None:
        """Shut it down in order, as an operator would, cutting whoever is connected."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as a crash would."""

    def restart(self) -> None:
        """Shut it down in order and start it again."""
        self.stop()
        self.start()

    @abstractmethod
    def close(self) -> None:
        """End it for good and remove what it stored. May be called again."""


class ExternalService(Service):
    """Somebody else's: it can be used, not managed. `not_ours` says so, and what to do."""

    external = True
    not_ours: str

    def start(self) -> None:
        """Nothing to do: it is somebody else's."""

    def stop(self) -> None:
        """Refused."""
        raise LaunchError(self.not_ours)

    def kill(self) -> None:
        """Refused."""
        raise LaunchError(self.not_ours)

    def close(self) -> None:
        """Nothing to do: it is somebody else's."""


class ContainedService(Service):
    """One in a container; `answers` says whether it is up."""

    def __init__(self, name: str, container: Container, answers: Callable[[], bool]) -> None:
        self._name = name
        self._container = container
        self._answers = answers
        self._await_boot()

    def _await_boot(self) -> None:
        wait_until(
            self._answers,
            seconds=BOOT_SECONDS,
            otherwise=lambda: f"{self._name} did not start:\n{self._container.log_tail()}",
        )

    def start(self) -> None:
        """Return when it answers."""
        self._container.start()
        self._await_boot()

    def stop(self) -> None:
        """Shut it down in order."""
        self._container.stop()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._container.kill()

    def close(self) -> None:
        """Remove the container. May be called again."""
        self._container.remove()


def find_or_install(
    name: str,
    find: Callable[[], Path | None],
    install: Callable[[], None],
    image: str,
    *,
    otherwise: str,
) -> Path | None:
    """See to it that a private server can be started at once, which may take minutes.

    Returns where its programs lie, or None when its docker image has been fetched instead.

    Raises:
        LaunchError: with `otherwise` as its text when there is no way to have one.
    """
    found = find()
    if found is None and can_apt():
        print_progress(
            f"{name} is not installed here: installing it with apt, this takes a minute …"
        )
        install()
        found = find()
    if found is None and can_docker():
        docker_pull(image)
    elif found is None:
        raise LaunchError(f"There is no {name} to be had. Do one of these: {otherwise}")
    return found
