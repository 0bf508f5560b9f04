"""Probes and metrics over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import httpx
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from tests.plain_http import NO_AUTHORITIES
from worker.observability.http_server import Check, HttpServer


async def echo_length(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


class ServerUnderTest:
    """A server with switchable checks, and a client to ask it."""

    def __init__(self) -> None:
        self.live: str | None = None
        self.ready: str | None = None
        self.apps: dict[str, str | None] = {}
        self.registry = CollectorRegistry()
        live: Mapping[str, Check] = {"loops": lambda: self.live}
        ready: Mapping[str, Check] = {"store": lambda: self.ready, "broker": lambda: None}
        any_of: Mapping[str, Check] = {
            "api/eu": lambda: self.apps.get("eu"),
            "api/us": lambda: self.apps.get("us"),
        }
        self.server = HttpServer(
            "127.0.0.1",
            0,
            checks_live=live,
            checks_ready=ready,
            checks_any=any_of,
            registry=self.registry,
            extra_routes=[web.post("/echo", echo_length)],
            max_body_bytes=1_000,
        )
        self.port = 0
        self.client = httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES)


@pytest.fixture
async def served() -> AsyncIterator[ServerUnderTest]:
    serving = ServerUnderTest()
    serving.port = await serving.server.start()
    serving.client.base_url = httpx.URL(f"http://127.0.0.1:{serving.port}")
    yield serving
    await serving.client.aclose()
    await serving.server.stop()


async def test_a_probe_passes_if_all_its_checks_pass(served: ServerUnderTest) -> None:
    answer = await served.client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "checks": {
            name: {"ok": True, "reason": None} for name in ("store", "broker", "api/eu", "api/us")
        },
    }


async def test_one_failing_check_makes_the_worker_not_ready_and_gives_the_reason(
    served: ServerUnderTest,
) -> None:
    served.ready = "the disk is full"
    answer = await served.client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ok"] is False
    assert answer.json()["checks"]["store"] == {"ok": False, "reason": "the disk is full"}
    assert answer.json()["checks"]["broker"]["ok"] is True


async def test_one_passing_check_of_checks_any_is_enough(
    served: ServerUnderTest,
) -> None:
    served.apps = {"eu": "no token"}
    one_is_well = await served.client.get("/readyz")
    served.apps = {"eu": "no token", "us": "no answer"}
    none_is_well = await served.client.get("/readyz")
    served.apps, served.ready = {}, "away"
    another_fails = await served.client.get("/readyz")

    assert one_is_well.status_code == 200
    assert one_is_well.json()["checks"]["api/eu"] == {"ok": False, "reason": "no token"}
    assert none_is_well.status_code == 503
    assert another_fails.status_code == 503


async def test_a_server_that_announces_its_stop_is_not_ready_but_answers_and_closes_connections(
    served: ServerUnderTest,
) -> None:
    before = await served.client.post("/echo", content=b"four")
    served.server.announce_stop()
    answers = [await served.client.post("/echo", content=b"four") for _ in range(2)]
    ready, live = await served.client.get("/readyz"), await served.client.get("/livez")

    assert "connection" not in before.headers
    assert [(answer.text, answer.headers["connection"]) for answer in answers] == [
        ("4", "close")
    ] * 2
    assert (ready.status_code, live.status_code) == (503, 200)
    assert ready.json()["checks"]["stopping"]["ok"] is False


async def test_not_ready_is_still_alive(served: ServerUnderTest) -> None:
    served.ready = "away"
    assert (await served.client.get("/livez")).status_code == 200

    served.live = "a loop has ended"
    assert (await served.client.get("/livez")).status_code == 503


async def test_a_check_is_called_at_each_probe(served: ServerUnderTest) -> None:
    codes = []
    for served.ready in (None, "away", None):
        codes.append((await served.client.get("/readyz")).status_code)

    assert codes == [200, 503, 200]


async def test_an_empty_reason_is_a_failure(served: ServerUnderTest) -> None:
    served.ready = ""
    assert (await served.client.get("/readyz")).status_code == 503


async def test_metrics_come_from_the_given_registry(served: ServerUnderTest) -> None:
    Counter("things", "Things.", registry=served.registry).inc(3)
    answer = await served.client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "things_total 3.0" in answer.text


async def test_metrics_have_the_requested_format(served: ServerUnderTest) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = await served.client.get("/metrics", headers=accept)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("version", ["", "one", "1..0", "\xff"])
async def test_a_malformed_accept_header_gets_metrics_as_text(
    served: ServerUnderTest, version: str
) -> None:
    accept = {b"Accept": f"application/openmetrics-text; version={version}".encode("latin-1")}
    answer = await served.client.get("/metrics", headers=accept)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(("text/plain", "application/openmetrics-text"))


async def test_an_unknown_path_gets_a_json_answer(served: ServerUnderTest) -> None:
    answer = await served.client.get("/nothing")
    assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


async def test_a_wrong_method_gets_a_json_answer_with_the_allowed_methods(
    served: ServerUnderTest,
) -> None:
    answer = await served.client.post("/livez")

    assert (answer.status_code, answer.json()) == (405, {"error": "Method Not Allowed"})
    assert answer.headers["Allow"] == "GET,HEAD"


async def test_the_routes_of_the_caller_are_served(served: ServerUnderTest) -> None:
    assert (await served.client.post("/echo", content=b"x" * 999)).text == "999"


async def test_a_body_above_the_limit_is_413(served: ServerUnderTest) -> None:
    answer = await served.client.post("/echo", content=b"x" * 2_000)

    assert answer.status_code == 413
    assert answer.json() == {"error": HTTPStatus(413).phrase}


async def test_a_header_above_the_limit_is_refused(served: ServerUnderTest) -> None:
    answer = await served.client.get("/livez", headers={"X-Long": "x" * 20_000})
    assert answer.status_code == 400


async def test_answers_do_not_name_versions(served: ServerUnderTest) -> None:
    headers = (await served.client.get("/livez")).headers
    assert headers["Server"] == "recording-worker"


async def test_a_port_in_use_is_an_error_at_the_start(served: ServerUnderTest) -> None:
    second = HttpServer(
        "127.0.0.1",
        served.port,
        checks_live={},
        checks_ready={},
        registry=CollectorRegistry(),
    )
    with pytest.raises(OSError, match=str(served.port)):
        await second.start()


async def test_after_the_stop_nothing_listens_and_stopping_again_is_allowed(
    served: ServerUnderTest,
) -> None:
    await served.server.stop()
    await served.server.stop()

    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(socket.create_connection, ("127.0.0.1", served.port))
