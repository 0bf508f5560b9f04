"""The console's server: its answers, its refusals, and the events of its stream."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aio_pika
import pytest
from prometheus_client import CollectorRegistry

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from tests.contract.store.test_pruning import NOW, observation
from tests.fault.tcp_proxy import TcpProxy
from tests.integration.cli.test_details import HOSTILE, rejected, run, store_detailed_recording
from tests.integration.console.console_client import (
    TOKEN,
    ConsoleClient,
    next_message,
    running_console,
)
from worker.broker.admin.one_shot import connect, declare_once
from worker.broker.topology import Topology
from worker.console.live_stream import MAX_CLIENTS
from worker.observability.http_server import HttpServer
from worker.store.store import Store

NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await Store.open(sqlite_url, source="test")
    yield store
    await store.close()


@pytest.fixture
async def console(store: Store, sqlite_url: str) -> AsyncIterator[ConsoleClient]:
    """A console without a token, whose broker is unavailable."""
    async with running_console({"DATABASE_URL": sqlite_url, "AMQP_URL": NO_BROKER}) as client:
        yield client


async def test_the_page_permits_no_script_style_or_request_but_its_own(
    console: ConsoleClient,
) -> None:
    for path in ("/", "/recordings/any", "/static/app.js", "/api/now", "/nothing"):
        _, headers, body = await console.request(path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        if not path.startswith("/api/"):
            assert b"http://" not in body.replace(b"http://www.w3.org/", b"")
    _, _, page = await console.request("/")
    assert b"<script>" not in page
    assert b" style=" not in page


async def test_an_address_without_a_page_gets_the_page_that_says_so(
    console: ConsoleClient,
) -> None:
    _, _, page = await console.request("/")
    for path in ("/nothing", "/meeting/of-yesterday", "/recordings/one/more", "/apian"):
        status, headers, body = await console.request(path)
        assert (status, body) == (404, page), path
        assert headers["Content-Type"].startswith("text/html")
    for path in ("/api/nothing", "/static/nothing.js"):
        status, headers, _ = await console.request(path)
        assert status == 404
        assert headers["Content-Type"].startswith("application/json"), path
    assert (await console.request("/metrics"))[0] == 200
    assert (await console.request("/livez"))[0] == 200


async def test_everything_about_a_recording_is_answered_and_no_url_with_its_query(
    console: ConsoleClient, store: Store
) -> None:
    await store_detailed_recording(store)

    page = await console.get("/api/recordings?status=all")
    (details,) = (await console.get("/api/recordings/r-1"))["recordings"]
    by_start = await console.get("/api/recordings/start-1")
    _, _, raw = await console.request("/api/recordings/r-1")

    assert [row["recording_id"] for row in page["recordings"]] == ["r-1"]
    assert details["metadata"] == {"case": HOSTILE}
    assert details["events"][2]["data"]["download_url"] == "https://files.example.com/a.webm"
    assert details["verdicts"][0]["level"] == "good"
    assert by_start["recordings"][0]["recording_id"] == "r-1"
    assert b"secret" not in raw


async def test_the_page_of_a_meeting_says_why_it_has_no_files(
    console: ConsoleClient, store: Store
) -> None:
    await run(store, rejected("start-2", "already_recording"))

    command = await console.get("/api/command/start-2")
    summary = await console.get("/api/commands/summary?hours=720")
    found = await console.get("/api/search?q=start-2")
    meeting = await console.get("/api/meetings/m-unknown")

    assert command["verdict"]["level"] == "bad"
    assert "already_recording: nothing of that id" in command["verdict"]["text"]
    assert [group["code"] for group in summary["errors"]] == ["already_recording"]
    assert [row["command_id"] for row in found["commands"]] == ["start-2"]
    assert (meeting["recordings"], meeting["starts"]) == ([], [])


async def test_a_search_says_if_more_begin_so_and_if_the_beginning_is_too_short(
    console: ConsoleClient, store: Store
) -> None:
    await store.apply([observation(f"order-{number:02}") for number in range(25)])

    many = await console.get("/api/search?q=order")
    few = await console.get("/api/search?q=order-1")
    short = await console.get("/api/search?q=ord")

    assert (len(many["recordings"]), many["has_more"]) == (20, True)
    assert (len(few["recordings"]), few["has_more"]) == (10, False)
    assert (short["recordings"], short["is_too_short"]) == ([], True)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/recordings?status=GONE", "status: must be one of"),
        ("/api/recordings?limit=0", "limit: must be a whole number"),
        ("/api/recordings?limit=00000000199999", "limit: must be a whole number"),
        ("/api/recordings?after=x", "after: must be the `next`"),
        (f"/api/search?q={'x' * 300}", "q: has more than 256 characters"),
        ("/api/search", "q: is missing"),
        ("/api/search?q=%00", "q: has a NUL character"),
        ("/api/commands?outcome=fine", "outcome: must be one of"),
        ("/api/commands/summary?hours=-1", "hours: must be a whole number"),
    ],
)
async def test_a_wrong_parameter_is_named(console: ConsoleClient, path: str, says: str) -> None:
    assert says in (await console.get(path, status=400))["error"]


async def test_an_unknown_id_is_not_found(console: ConsoleClient) -> None:
    assert "no recording" in (await console.get("/api/recordings/x", status=404))["error"]
    assert "no command" in (await console.get("/api/command/x", status=404))["error"]


async def test_a_state_that_cannot_be_read_is_said_and_read_as_soon_as_it_can(
    tmp_path_factory: pytest.TempPathFactory, eventually: Eventually
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('console') / 'state.db'}"
    async with running_console({"DATABASE_URL": url, "AMQP_URL": NO_BROKER}) as console:
        missing = await console.get("/api/recordings", status=503)
        now = await console.get("/api/now")
        ready, _, _ = await console.request("/readyz")
        store = await Store.open(url, source="test")
        await store.apply([observation("r-1")])
        await store.close()
        page = await console.get("/api/recordings")

    assert "no worker has used it yet" in missing["error"]
    assert "no worker has used it yet" in now["error"]
    assert ready == 503
    assert [row["recording_id"] for row in page["recordings"]] == ["r-1"]


async def test_another_host_or_origin_is_refused(console: ConsoleClient) -> None:
    status, _, _ = await console.request("/api/now", Host="evil.example")
    assert status == 421
    status, _, _ = await console.request(
        "/api/logout", method="POST", json={}, Origin="https://evil.example"
    )
    assert status == 403


async def test_other_machines_see_nothing_of_the_state_before_they_log_in(
    store: Store, sqlite_url: str
) -> None:
    await store_detailed_recording(store)
    environ = {
        "DATABASE_URL": sqlite_url,
        "AMQP_URL": NO_BROKER,
        "WORKER_CONSOLE_TOKEN": TOKEN,
    }
    async with running_console(environ, is_public=True) as console:
        for path in ("/api/now", "/api/recordings/r-1", "/api/stream", "/api/search?q=r-1"):
            await console.get(path, status=401)
        session = await console.get("/api/session")
        await console.post("/api/login", {"token": "wrong"}, status=403)
        await console.post("/api/login", {"wrong": 1}, status=400)
        await console.post("/api/login", {"token": TOKEN})
        after = await console.get("/api/session")
        await console.get("/api/recordings/r-1")
        await console.post("/api/logout", {})
        await console.get("/api/recordings/r-1", status=401)

    assert (session["may_read"], session["version"]) == (False, None)
    assert (after["may_read"], after["may_act"]) == (True, True)


async def test_the_cookie_of_a_session_is_for_this_page_alone(
    store: Store, sqlite_url: str
) -> None:
    environ = {"DATABASE_URL": sqlite_url, "AMQP_URL": NO_BROKER, "WORKER_CONSOLE_TOKEN": TOKEN}
    async with running_console(environ) as console:
        _, headers, _ = await console.request(
            "/api/login", method="POST", json={"token": TOKEN}, Origin=console.origin
        )
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie


async def test_a_browser_that_connects_later_learns_that_the_broker_is_unavailable(
    console: ConsoleClient, eventually: Eventually
) -> None:
    async def is_known() -> bool:
        return bool((await console.get("/api/now"))["broker"]["state"] == "unavailable")

    await eventually(is_known)
    async with console.stream() as stream:
        assert (await next_message(stream, "broker"))["state"] == "unavailable"


async def test_too_many_browsers_get_503(console: ConsoleClient) -> None:
    async with AsyncExitStack() as streams:
        for _ in range(MAX_CLIENTS):
            await streams.enter_async_context(console.stream())
        status, _, _ = await console.request("/api/stream")
    assert status == 503


async def test_a_lost_broker_is_said_and_found_again(
    amqp_url: str, rabbitmq: RabbitMQNode, names_prefix: str, store: Store, sqlite_url: str
) -> None:
    topology = Topology(prefix=names_prefix, retry_delays=(5.0,))
    async with connect(amqp_url, "test") as connection:
        await declare_once(connection, topology)
    async with TcpProxy(rabbitmq.port) as link:
        environ = {
            "DATABASE_URL": sqlite_url,
            "AMQP_URL": f"amqp://guest:guest@127.0.0.1:{link.port}/",
            "WORKER_NAME_PREFIX": names_prefix,
        }
        async with running_console(environ) as console, console.stream() as stream:
            states = [await next_message(stream, "broker")]
            link.refuse()
            link.cut()
            while states[-1]["state"] != "unavailable":
                states.append(await next_message(stream, "broker"))
            now = await console.get("/api/now")
            await link.restore()
            while states[-1]["state"] != "listening":
                states.append(await next_message(stream, "broker"))

    assert states[0]["state"] == "listening"
    (broker,) = [check for check in now["checks"] if check["name"] == "broker"]
    assert broker["state"] == "failed"


async def test_events_and_figures_arrive_while_a_browser_is_connected(
    amqp_url: str, names_prefix: str, store: Store, sqlite_url: str
) -> None:
    topology = Topology(prefix=names_prefix, retry_delays=(5.0,))
    environ = {
        "DATABASE_URL": sqlite_url,
        "AMQP_URL": amqp_url,
        "WORKER_NAME_PREFIX": names_prefix,
        "WORKER_RETRY_DELAYS_SECONDS": "5",
    }
    async with connect(amqp_url, "test") as connection:
        await declare_once(connection, topology)
    await store.apply([observation("r-1", at=NOW)])
    (unsent,) = await store.unsent(1)
    async with running_console(environ) as console, console.stream() as stream:
        broker = await next_message(stream, "broker")
        now = await next_message(stream, "now")
        publisher = await aio_pika.connect(amqp_url)
        async with publisher:
            channel = await publisher.channel()
            exchange = await channel.get_exchange(topology.exchange("status"))
            await exchange.publish(aio_pika.Message(b"no event"), "k")
            await exchange.publish(aio_pika.Message(unsent.body), unsent.routing_key)
        event = await next_message(stream, "event")

    assert broker["state"] == "listening"
    assert broker["queues"]["commands"]["messages"] == 0
    assert now["live"][0]["count"] == 1
    assert "leader" in {check["name"] for check in now["checks"] if check["state"] == "failed"}
    assert (event["recording_id"], event["status"]) == ("r-1", "RECORDING")


async def shown_api(console: ConsoleClient) -> dict[str, str]:
    """The check of the API on the page `now`."""
    checks = (await console.get("/api/now"))["checks"]
    found: dict[str, str] = next(check for check in checks if check["name"] == "api")
    return found


@asynccontextmanager
async def answering_worker(reason: str | None) -> AsyncIterator[int]:
    """The HTTP server of a worker whose API cannot be used for this reason."""
    server = HttpServer(
        "127.0.0.1",
        0,
        checks_live={},
        checks_ready={"store": lambda: None},
        checks_any={"api": lambda: reason},
        registry=CollectorRegistry(),
    )
    try:
        yield await server.start()
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("reason", "state", "words"),
    [
        ("timeout; the circuit has been open for 9 s", "failed", "open for 9 s"),
        (None, "ok", "the circuit is closed"),
    ],
)
async def test_the_state_of_the_circuit_is_that_of_the_worker_that_answers(
    store: Store, sqlite_url: str, reason: str | None, state: str, words: str
) -> None:
    async with answering_worker(reason) as port:
        environ = {
            "DATABASE_URL": sqlite_url,
            "AMQP_URL": NO_BROKER,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
        }
        async with running_console(environ) as console:
            shown = await shown_api(console)

    assert (shown["state"], words in shown["text"]) == (state, True), shown


async def test_a_console_that_reaches_no_worker_says_that_only_a_worker_knows(
    store: Store, sqlite_url: str
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # connects, and never answers
    for port, why in ((1, "Connection refused"), (silent.getsockname()[1], "")):
        environ = {
            "DATABASE_URL": sqlite_url,
            "AMQP_URL": NO_BROKER,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": str(port),
        }
        async with running_console(environ) as console:
            shown = await shown_api(console)
        assert shown["state"] == "unknown"
        assert "only a running worker knows" in shown["text"]
        assert f"none answers at http://127.0.0.1:{port}: {why}" in shown["text"]
    silent.close()
