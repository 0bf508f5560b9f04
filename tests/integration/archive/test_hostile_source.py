"""Answers of a source that no server would send."""

import asyncio
import random

import pytest

from tests.loopback_server import LoopbackServer
from worker.archive.download import Download
from worker.archive.errors import ArchiveError

ANSWERS = 300
HEADS = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 206 Partial",
    b"HTTP/1.1 302 Found",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 999 Odd",
    b"HTTP/1.1 101 Switching",
    b"HTTP/2 200",
    b"\x00\x01",
]
HEADERS = [
    b"Content-Length: 5",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: -1",
    b"Content-Length: 5, 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Location: http://127.0.0.1:{port}/x",
    b"Location: http://[",
    b"Location: \xff\xfe",
    b"Location: //",
    b"Location: http://a..b/",
    b"Location: http://xn--/",
    b"Location: http://\xc3\xbc.invalid/",
    b"Location: http://" + b"a" * 300 + b"/",
    b'ETag: \xff"',
    b"Last-Modified: \xff",
    b"Content-Range: bytes 0-1/2",
    b"Content-Type: \xff/\xff",
    b"Content-Encoding: \xff",
    b"Upgrade: x\r\nConnection: upgrade",
    b": x",
    b"A" * 70_000 + b": b",
]
BODIES = [
    b"hello",
    b"",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"5\r\nhel",
    b"z" * 300_000,
]


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_of_a_source_is_a_file_or_an_error_of_the_archive(seed: int) -> None:
    dice, texts = random.Random(seed), list[str]()
    answer = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def at_once(_: float) -> None:
        """Does not wait between the attempts to resume."""

    async with LoopbackServer(serve) as server:
        port, url = server.port, f"http://127.0.0.1:{server.port}/?sesame"
        download = Download(timeout_seconds=5, allow_private_sources=True, sleep=at_once)
        for _ in range(ANSWERS):
            lines = (dice.choice(HEADS), *dice.sample(HEADERS, dice.randrange(4)), b"", b"")
            answer = b"\r\n".join(lines).replace(b"{port}", b"%d" % port) + dice.choice(BODIES)
            try:
                async with download.open(url, max_bytes=10**6) as file:
                    assert all([len(block) <= 10**6 async for block in file.blocks()])
            except ArchiveError as error:
                texts.append(str(error))
    assert not any("sesame" in text for text in texts)
