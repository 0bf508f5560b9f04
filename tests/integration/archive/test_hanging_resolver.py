"""A resolver that does not answer delays only the downloads that need it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.archive.file_source import FileSource
from worker.archive.download import Download
from worker.archive.download.name_lookup import MAX_LOOKUPS
from worker.archive.errors import SourceUnavailable
from worker.settings.proxies import Proxies, proxy_url

HANGING = "https://hangs.example.com/a.webm?signature=sesame"
DEADLINE_SECONDS = 20.0
BODY = b"a file"


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A system resolver that answers for one host only after the event is set."""
    answers, original = threading.Event(), socket.getaddrinfo

    def look(host: str, *options: Any, **more: Any) -> Any:
        if host == "hangs.example.com":
            answers.wait(60)
        return original("127.0.0.1", *options, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look)
    yield answers
    answers.set()


async def read(download: Download, url: str) -> bytes:
    async with download.open(url, max_bytes=100) as file:
        return b"".join([block async for block in file.blocks()])


@pytest.mark.parametrize(
    "proxies", [Proxies(), Proxies(https=proxy_url("http://hangs.example.com:3128"))]
)
async def test_look_ups_without_an_answer_keep_no_thread_that_others_need(
    resolver: threading.Event, proxies: Proxies
) -> None:
    patient = Download(timeout_seconds=60, allow_private_sources=True, proxies=proxies)
    waiting = [asyncio.create_task(read(patient, HANGING)) for _ in range(MAX_LOOKUPS)]
    async with FileSource(BODY) as source, asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.sleep(0)  # each download has begun
        await asyncio.to_thread(int)
        await asyncio.get_running_loop().getaddrinfo("localhost", 1)
        with pytest.raises(SourceUnavailable, match="look-ups have no answer yet"):
            await read(patient, source.url)
        resolver.set()
        await asyncio.wait(waiting)
        assert await read(patient, source.url) == BODY


async def test_a_name_lookup_without_an_answer_ends_with_the_time_out(
    resolver: threading.Event,
) -> None:
    impatient = Download(timeout_seconds=0.2, allow_private_sources=True)
    with pytest.raises(SourceUnavailable, match="source_silent"):
        await read(impatient, HANGING)
    resolver.set()
