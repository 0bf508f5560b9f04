"""The fixtures for tests of other projects: a sandbox, a RabbitMQ, and a worker that uses both.

pytest loads this module in every project in whose environment the sandbox is installed. It
therefore imports the sandbox, aiohttp and cryptography only when a test uses a fixture.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from recording_sandbox.services.rabbitmq import RabbitMQNode
    from recording_sandbox.testing.background_loop import BackgroundLoop
    from recording_sandbox.testing.background_sandbox import BackgroundSandbox
    from recording_sandbox.testing.background_worker import BackgroundWorker

MARKERS = (
    "recording_sandbox(**fields): SandboxOptions and Behaviour of the sandbox, as in speed=60",
    "recording_worker(**variables): environment variables of the worker, as in LOG_LEVEL='DEBUG'",
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session")
def recording_loop() -> "Iterator[BackgroundLoop]":
    """The event loop of the sandbox and the worker, in a separate thread."""
    from recording_sandbox.testing.background_loop import BackgroundLoop

    with BackgroundLoop() as loop:
        yield loop


@pytest.fixture
def recording_sandbox(
    request: pytest.FixtureRequest, recording_loop: "BackgroundLoop"
) -> "Iterator[BackgroundSandbox]":
    """An emulated API for this test alone. The marker `recording_sandbox` sets it up."""
    import msgspec

    from recording_sandbox.testing.background_sandbox import BackgroundSandbox
    from recording_sandbox.testing.markers import sandbox_options

    try:
        options = sandbox_options(_marked(request, "recording_sandbox"))
    except msgspec.ValidationError as error:
        pytest.fail(f"the marker recording_sandbox: {error}", pytrace=False)
    with BackgroundSandbox(recording_loop, options) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def recording_rabbitmq() -> "Iterator[RabbitMQNode]":
    """The broker of AMQP_URL, else a private one, which the tests of this session share."""
    from recording_sandbox.testing.broker import start_broker

    with _launching():
        node = start_broker()
    with node:
        yield node


@pytest.fixture
def recording_worker(
    request: pytest.FixtureRequest,
    recording_rabbitmq: "RabbitMQNode",
    recording_sandbox: "BackgroundSandbox",
    tmp_path: Path,
) -> "Iterator[BackgroundWorker]":
    """A worker for this test alone, with its own names and state on the broker.

    The marker `recording_worker` sets variables.
    """
    from recording_sandbox.testing.installation import require_worker

    with _launching():
        require_worker()
    from recording_sandbox.testing.background_worker import start_worker

    settings = {name: str(value) for name, value in _marked(request, "recording_worker").items()}
    with (
        _launching(),
        start_worker(recording_rabbitmq, recording_sandbox, tmp_path, settings) as worker,
    ):
        yield worker


def _marked(request: pytest.FixtureRequest, name: str) -> dict[str, object]:
    """The keywords of all markers of this name. That of the test counts before its class's."""
    markers = reversed(list(request.node.iter_markers(name)))
    return {key: value for marker in markers for key, value in marker.kwargs.items()}


@contextmanager
def _launching() -> Iterator[None]:
    """Report a service that cannot be started as one sentence instead of a traceback."""
    from recording_sandbox.services.processes import LaunchError

    try:
        yield
    except LaunchError as error:
        pytest.fail(str(error), pytrace=False)
