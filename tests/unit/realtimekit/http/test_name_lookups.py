"""A name server that does not answer for the API keeps no thread that others need."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from worker.realtimekit.http.name_lookups import NameLookups
from worker.realtimekit.http.proxy import ProxyTransport
from worker.realtimekit.http.transport import HttpTransport

HANGING = "hangs.example.com"
DEADLINE_SECONDS = 20.0


class Resolver:
    """A system resolver that answers for one host only after `answers` is set."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.calls: list[str] = []
        self._original = socket.getaddrinfo

    def look(self, host: str, *options: Any, **more: Any) -> Any:
        self.calls.append(host)
        if host == HANGING:
            self.answers.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._original("127.0.0.1", *options, **more)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    fake = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", fake.look)
    yield fake
    fake.answers.set()


@pytest.mark.parametrize("way", ["direct", "proxy"])
async def test_requests_to_a_name_without_an_answer_share_one_thread(
    resolver: Resolver, way: str
) -> None:
    transport = HttpTransport() if way == "direct" else ProxyTransport(f"http://{HANGING}:3128")
    request = httpx.Request(
        "GET", f"http://{HANGING}/", extensions={"timeout": {"connect": 0.01, "pool": 1.0}}
    )
    for _ in range(3):
        asked = [transport.handle_async_request(request) for _ in range(20)]
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(error) for error in ended} == {httpx.ConnectTimeout}
    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.to_thread(int)
        await asyncio.get_running_loop().getaddrinfo("localhost", 1)
    assert resolver.calls.count(HANGING) == 1


async def test_a_name_is_looked_up_again_after_a_failure(resolver: Resolver) -> None:
    names = NameLookups()
    waiting = [asyncio.create_task(names.look_up(HANGING, 443)) for _ in range(3)]
    waiting[0].cancel()
    await asyncio.sleep(0)
    resolver.answers.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    expected = [asyncio.CancelledError, socket.gaierror, socket.gaierror]
    assert [type(error) for error in ended] == expected
    with pytest.raises(socket.gaierror):
        await names.look_up(HANGING, 443)
    assert resolver.calls == [HANGING, HANGING]


@pytest.mark.usefixtures("resolver")
async def test_another_name_is_found_meanwhile() -> None:
    names = NameLookups()
    waiting = asyncio.create_task(names.look_up(HANGING, 443))
    async with asyncio.timeout(DEADLINE_SECONDS):
        (address, *_) = await names.look_up("api.example", 443)
    assert address[4] == ("127.0.0.1", 443)
    waiting.cancel()
