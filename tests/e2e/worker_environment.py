"""One worker process with its broker names, emulated API, database and subscriber."""

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.worker_client import WorkerClient
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.log_entries import RequestEntry
from recording_schemas import CloudEvent, Outcome
from tests.forked_worker import ForkedWorkerProcess

EVENT_TIMEOUT_SECONDS: Final = 60.0
API_TOKEN: Final = "token-of-the-api"  # noqa: S105 - any token is good


class WorkerEnvironment:
    """A running worker, its sandbox API and a subscriber.

    `worker` is ready when the environment opens. A test may kill it and start it again.
    """

    def __init__(self, sandbox: Sandbox, worker: WorkerProcess, messages: WorkerClient) -> None:
        self.sandbox = sandbox
        self.worker = worker
        self.messages = messages
        self.meeting_id = str(uuid.uuid4())

    async def send(self, **fields: Any) -> None:
        """Publish a command as JSON."""
        await self.messages.send_raw(json.dumps(fields).encode(), routing_key=fields["type"])

    async def start(self, command_id: str = "start-1", **fields: Any) -> None:
        """Command a track recording of the environment's meeting, or of another one."""
        command = {"type": "start_track_recording", "id": command_id, "meeting_id": self.meeting_id}
        await self.send(**(command | fields))

    async def outcome(
        self, command_id: str, *, within: float = EVENT_TIMEOUT_SECONDS
    ) -> CloudEvent:
        """The outcome of a command, once it is published."""
        return await self.messages.until(
            lambda events: next(
                (event for event in _outcomes(events) if event.subject == command_id), None
            ),
            within=within,
            description=f"the outcome of {command_id}",
        )

    async def event(
        self, kind: type, *, within: float = EVENT_TIMEOUT_SECONDS, **fields: Any
    ) -> CloudEvent:
        """The first event with data of this kind that has these fields."""

        def fitting(events: list[CloudEvent]) -> CloudEvent | None:
            return next((event for event in events if _fits(event, kind, fields)), None)

        return await self.messages.until(
            fitting, within=within, description=f"{kind.__name__} {fields}"
        )

    def requests(self, operation: str) -> list[RequestEntry]:
        """The requests to the API's operation."""
        return [
            request
            for request in self.sandbox.request_log.requests
            if request.operation == operation
        ]


def _outcomes(events: Iterable[CloudEvent]) -> list[CloudEvent]:
    return [event for event in events if isinstance(event.data, Outcome)]


def _fits(event: CloudEvent, kind: type, fields: dict[str, Any]) -> bool:
    return isinstance(event.data, kind) and all(
        getattr(event.data, name) == value for name, value in fields.items()
    )


def settings(amqp_url: str, prefix: str, sandbox: Sandbox, **more: str) -> dict[str, str]:
    """The settings of a worker with short intervals."""
    return {
        "AMQP_URL": amqp_url,
        "DATABASE_URL": "sqlite:///state.db",
        "LOG_FORMAT": "json",
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_APP_ID": "app",
        "REALTIMEKIT_API_TOKEN": API_TOKEN,
        "REALTIMEKIT_BASE_URL": sandbox.base_url,
        "REALTIMEKIT_WEBHOOK_KEY_URL": sandbox.webhook_key_url,
        "WORKER_NAME_PREFIX": prefix,
        "WORKER_RETRY_DELAYS_SECONDS": "0.2,1,5",
        "WORKER_API_BUDGET": "1000000/300",
        "WORKER_SWEEP_INTERVAL_SECONDS": "0.2",
        "WORKER_API_TIMEOUT_SECONDS": "1",
        "WORKER_API_RETRY_SECONDS": "2",
        "WORKER_RECONCILE_SECONDS": "2",
        "WORKER_LEASE_SECONDS": "5",
        **more,
    }


@asynccontextmanager
async def open_worker_environment(
    amqp_url: str,
    prefix: str,
    directory: Path,
    *,
    speed: float = 5.0,
    behaviour: Behaviour | None = None,
    module: tuple[str, ...] = ("worker", "run"),
    **more: str,
) -> AsyncIterator[WorkerEnvironment]:
    """Open an environment, with further settings for its worker; all of it stops with the block.

    `module` is the worker's module, or that of a worker with a deliberate fault.
    """
    async with AsyncExitStack() as stack:
        options = SandboxOptions(speed=speed, seed=1, behaviour=behaviour or Behaviour())
        sandbox = await stack.enter_async_context(Sandbox(options))
        worker_settings = settings(amqp_url, prefix, sandbox, **more)
        worker = ForkedWorkerProcess(worker_settings, directory, module=module)
        await worker.start()
        stack.push_async_callback(worker.stop)
        await worker.ready()
        messages = await stack.enter_async_context(WorkerClient(amqp_url, prefix))
        yield WorkerEnvironment(sandbox, worker, messages)
