"""Dependencies that may be unavailable, each with the readiness checks that must report it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from recording_sandbox.api.webhook_signing import Signer
from recording_sandbox.model.faults import Fault
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from tests.e2e.worker_environment import WorkerEnvironment

WEBHOOK: Final = b'{"event":"meeting.started"}'


class DependencyOutage:
    """A dependency that becomes unavailable and returns; `unready` names the checks that report it.

    A subclass takes what it needs from the test's fixtures. If readiness does not report the
    outage, `begin` returns when the worker has met it.
    """

    unready: frozenset[str] = frozenset()
    broker_of = "rabbitmq"

    def __init__(self, fixtures: pytest.FixtureRequest) -> None:
        self.broker: RabbitMQNode = fixtures.getfixturevalue(self.broker_of)
        self.settings: dict[str, str] = {}
        self.resources = AsyncExitStack()

    async def begin(self, environment: WorkerEnvironment) -> None:
        """Make it unavailable."""
        raise NotImplementedError

    async def end(self, environment: WorkerEnvironment) -> None:
        """Make it available again."""


class BrokerOutage(DependencyOutage):
    """RabbitMQ, stopped."""

    unready = frozenset({"publishing", "consuming", "answering"})
    broker_of = "private_rabbitmq"

    async def begin(self, environment: WorkerEnvironment) -> None:
        await asyncio.to_thread(self.broker.stop)

    async def end(self, environment: WorkerEnvironment) -> None:
        await asyncio.to_thread(self.broker.start)


class DatabaseOutage(DependencyOutage):
    """PostgreSQL, stopped."""

    unready = frozenset({"store"})

    def __init__(self, fixtures: pytest.FixtureRequest) -> None:
        super().__init__(fixtures)
        self._server: PostgreSQLServer = fixtures.getfixturevalue("private_postgresql")
        self.settings = {"DATABASE_URL": self._server.new_database()}

    async def begin(self, environment: WorkerEnvironment) -> None:
        await asyncio.to_thread(self._server.stop)

    async def end(self, environment: WorkerEnvironment) -> None:
        await asyncio.to_thread(self._server.start)


class ApiOutage(DependencyOutage):
    """The recording API, which refuses everything."""

    unready = frozenset({"api"})
    _fault = ""

    async def begin(self, environment: WorkerEnvironment) -> None:
        self._fault = environment.sandbox.faults.add(Fault(kind="refuse", status=503))
        await environment.start("during")

    async def end(self, environment: WorkerEnvironment) -> None:
        environment.sandbox.faults.clear(self._fault)


class TokenRevoked(DependencyOutage):
    """The API's token, revoked, and replaced in its file."""

    unready = frozenset({"api"})

    def __init__(self, fixtures: pytest.FixtureRequest) -> None:
        super().__init__(fixtures)
        self._file = fixtures.getfixturevalue("tmp_path") / "token"
        self._file.write_text("former")
        self.settings = {
            "REALTIMEKIT_API_TOKEN": "",
            "REALTIMEKIT_API_TOKEN_FILE": str(self._file),
        }

    async def begin(self, environment: WorkerEnvironment) -> None:
        environment.sandbox.tokens.revoke("former")
        await environment.start("during")

    async def end(self, environment: WorkerEnvironment) -> None:
        self._file.write_text("fresh")


class WebhookKeyOutage(DependencyOutage):
    """The host that publishes the webhook key. Without it, the API only repeats its webhooks
    later."""

    def __init__(self, fixtures: pytest.FixtureRequest) -> None:
        super().__init__(fixtures)
        self._signer = Signer()
        (self._port,) = free_ports(1)
        self.settings = {"REALTIMEKIT_WEBHOOK_KEY_URL": f"http://127.0.0.1:{self._port}/"}

    async def begin(self, environment: WorkerEnvironment) -> None:
        assert await self._deliver(environment) == 503

    async def end(self, environment: WorkerEnvironment) -> None:
        app = web.Application()
        app.add_routes([web.get("/", self._publish)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self.resources.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", self._port).start()
        # Until then the key is requested once a second, and the API repeats webhooks that got a
        # 503.
        await eventually(lambda: self._is_taken(environment))

    async def _is_taken(self, environment: WorkerEnvironment) -> bool:
        return await self._deliver(environment) == 204

    async def _deliver(self, environment: WorkerEnvironment) -> int:
        url = f"{environment.worker.url}/webhooks/realtimekit"
        headers = {"rtk-signature": self._signer.signature(WEBHOOK)}
        async with (
            aiohttp.ClientSession() as http,
            http.post(url, data=WEBHOOK, headers=headers) as answer,
        ):
            return answer.status

    async def _publish(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": {"publicKey": self._signer.public_pem()}})


class TraceCollectorOutage(DependencyOutage):
    """The collector of traces. No work waits for it."""

    def __init__(self, fixtures: pytest.FixtureRequest) -> None:
        super().__init__(fixtures)
        (port,) = free_ports(1)
        self.settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}

    async def begin(self, environment: WorkerEnvironment) -> None:
        await environment.start("during")
        await environment.outcome("during")


OUTAGES: Final = (
    BrokerOutage,
    DatabaseOutage,
    ApiOutage,
    TokenRevoked,
    WebhookKeyOutage,
    TraceCollectorOutage,
)
