"""The command handler with the emulated API and a real store."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.log_entries import RequestEntry, StartedEntry
from worker.broker.headers import with_trusted_headers
from worker.broker.kept_copy import unparked_message
from worker.broker.messages import Delivery, Settlement
from worker.broker.properties import CORRELATION_ID, REPLY_TO, text_property
from worker.commands.handler import CommandHandler
from worker.commands.retry_policy import RetryPolicy
from worker.observability.metrics import Metrics
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.circuit_breaker import CircuitBreaker
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.models import AttemptHook, HttpAttempt
from worker.realtimekit.retry import RequestRetry
from worker.store.due_commands import DueCommand
from worker.store.store import Store

QUEUE = "recording.commands"
START = "start_track_recording"


RETRY_POLICY = RetryPolicy(
    max_age=3600,
    stop_wait=300,
    reconcile=30,
    lease=60,
    retry_delays=(5.0, 30.0, 120.0),
)


class CommandBench:
    """A command handler on real parts, with a clock that a test can advance."""

    def __init__(
        self,
        sandbox: Sandbox,
        store: Store,
        api: RealtimeKitClient,
        impatient_api: RealtimeKitClient,
    ) -> None:
        self.sandbox = sandbox
        self.store = store
        self.api = api
        self._impatient_api = impatient_api
        self.ahead = 0.0
        self.breaker = CircuitBreaker(lambda: time.monotonic() + self.ahead)
        self.meeting = str(uuid.uuid4())
        self.handler = self.new_handler()

    def new_handler(
        self,
        api: RealtimeKitClient | None = None,
        *,
        policy: RetryPolicy = RETRY_POLICY,
        **settings: Any,
    ) -> CommandHandler:
        """A handler as after a restart, without state besides the store's."""
        self.registry = CollectorRegistry()
        return CommandHandler(
            self.store,
            Apps([App(name="default", api=api or self.api, breaker=self.breaker)]),
            policy,
            owner=str(uuid.uuid4()),
            source="test",
            now=lambda: time.time() + self.ahead,
            max_command_bytes=10_000,
            metrics=Metrics(self.registry, version="test"),
            **settings,
        )

    def client(self, on_attempt: AttemptHook) -> RealtimeKitClient:
        """A client of the sandbox that makes two attempts at each request. Close it."""
        return RealtimeKitClient(
            base_url=self.sandbox.base_url,
            account_id="acc",
            app_id="app",
            token=lambda: "token",
            timeout=20.0,
            on_attempt=on_attempt,
            retry=RequestRetry(attempts=2, base_seconds=0.01),
        )

    def pass_time(self, seconds: float) -> None:
        """Advance both clocks, ours and the API's."""
        self.ahead += seconds
        self.sandbox.clock.advance(seconds)

    async def send(self, command: dict[str, Any], **properties: Any) -> Settlement:
        return await self.send_raw(msgspec.json.encode(command), **properties)

    async def send_with_short_timeout(self, command: dict[str, Any]) -> Settlement:
        """Send to a handler whose API time-out is one second. A busy machine may need longer."""
        handler = self.new_handler(self._impatient_api)
        return await handler.handle(Delivery(body=msgspec.json.encode(command), routing_key="x"))

    async def send_raw(self, body: bytes, **properties: Any) -> Settlement:
        return await self.handler.handle(Delivery(body=body, routing_key="x", **properties))

    def start(self, command_id: str = "start-1", **more: Any) -> dict[str, Any]:
        return {
            "type": "start_track_recording",
            "id": command_id,
            "meeting_id": self.meeting,
            **more,
        }

    async def unpark(self) -> list[Settlement]:
        """Deliver the parked commands that are due, as the relay and the broker do."""
        return [await self.handler.handle(delivery) for delivery in await self.take_due()]

    async def take_due(self) -> list[Delivery]:
        """The deliveries of the parked commands that are due. They are removed from the store."""
        due = await self.store.due_commands(self.store.now())
        await self.store.remove_published([command.position for command in due])
        return self.deliveries_of(due)

    def deliveries_of(self, due: list[DueCommand]) -> list[Delivery]:
        """The deliveries of these parked commands."""
        return [delivery_of(command, self.store.now()) for command in due]

    async def parked(self) -> int:
        """The number of parked commands, without repeats."""
        return sum(count.commands for count in (await self.store.count_parked()).values())

    async def outcomes(self, command_id: str = "start-1") -> list[dict[str, Any]]:
        """Every publication of the command's outcome, oldest first."""
        return [
            msgspec.json.decode(entry.body) | {"routing_key": entry.routing_key}
            for entry in await self.store.unsent(1000)
            if entry.subject == command_id and entry.exchange == "results"
        ]

    async def outcome(self, command_id: str = "start-1") -> dict[str, Any]:
        (outcome,) = await self.outcomes(command_id)
        return outcome

    def started(self) -> list[StartedEntry]:
        return [
            entry for entry in self.sandbox.request_log.entries() if isinstance(entry, StartedEntry)
        ]

    def requests(self, operation: str) -> list[RequestEntry]:
        entries = self.sandbox.request_log.entries()
        return [
            entry
            for entry in entries
            if isinstance(entry, RequestEntry) and entry.operation == operation
        ]


def delivery_of(command: DueCommand, now: float) -> Delivery:
    """The delivery of a parked command that was published to the queue at `now`."""
    message = unparked_message(
        command.body,
        command.envelope,
        command_queue=QUEUE,
        position=command.position,
        now=now,
    )
    delivery = Delivery(
        body=message.body,
        routing_key=QUEUE,
        headers=message.headers,
        properties=message.original,
        reply_to=text_property(message.original, REPLY_TO),
        correlation_id=text_property(message.original, CORRELATION_ID),
    )
    return with_trusted_headers(delivery, QUEUE)


def text_properties(reply_to: str, correlation_id: str) -> dict[str, Any]:
    """Fields of a delivery with these properties, decoded and encoded."""
    encoded = {
        flag: bytes((len(text),)) + text.encode()
        for flag, text in ((REPLY_TO, reply_to), (CORRELATION_ID, correlation_id))
    }
    return {"reply_to": reply_to, "correlation_id": correlation_id, "properties": encoded}


@asynccontextmanager
async def open_command_bench(
    tmp_path: Path, *, breaks: bool = False, database_url: str | None = None
) -> AsyncIterator[CommandBench]:
    """A bench on a new store. With `breaks`, its breaker learns of each request. `database_url` is
    the store's, by default that of an SQLite file."""
    benches: list[CommandBench] = []

    def record(attempt: HttpAttempt) -> None:
        if breaks:
            benches[0].breaker.record(attempt.error)

    async with Sandbox(SandboxOptions(speed=1.0)) as sandbox:
        store = await Store.open(
            database_url or f"sqlite:///{tmp_path / 'state.db'}",
            source="test",
            now=lambda: time.time() + (benches[0].ahead if benches else 0.0),
        )
        api, impatient_api = (
            RealtimeKitClient(
                base_url=sandbox.base_url,
                account_id="acc",
                app_id="app",
                token=lambda: "token",
                timeout=timeout,
                on_attempt=record,
                retry=RequestRetry(attempts=2, base_seconds=0.01, total_seconds=timeout),
            )
            for timeout in (20.0, 1.0)
        )
        benches.append(CommandBench(sandbox, store, api, impatient_api))
        yield benches[0]
        await api.aclose()
        await impatient_api.aclose()
        await store.close()
