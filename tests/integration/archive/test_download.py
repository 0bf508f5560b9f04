"""Downloads from a source with the faults of networks and object stores."""

import asyncio
import itertools
import random
import socket
from collections.abc import Callable
from typing import TypeVar

import pytest

from recording_sandbox.services.tinyproxy import PASSWORD, TinyProxy
from tests.integration.archive.file_source import FileSource, Turn
from worker.archive.bandwidth import Bandwidth
from worker.archive.download import Download
from worker.archive.download.source_file import BLOCK_BYTES
from worker.archive.errors import ArchiveError, SourceDenied, SourceDoubtful, SourceUnavailable
from worker.settings.proxies import Proxies, proxy_url

MIB = 1024 * 1024
LARGE = MIB + 400_000
BODY = random.Random(1).randbytes(3 * MIB + 12_345)


async def at_once(_: float) -> None:
    """Does not wait between the attempts to resume."""


DOWNLOAD = Download(timeout_seconds=10, allow_private_sources=True, sleep=at_once)
IMPATIENT = Download(timeout_seconds=0.2, allow_private_sources=True, sleep=at_once)

Kind = TypeVar("Kind", bound=ArchiveError)


async def read(
    url: str, download: Download = DOWNLOAD, *, max_bytes: int = 10 * MIB
) -> list[bytes | memoryview]:
    async with download.open(url, max_bytes=max_bytes) as file:
        return [block async for block in file.blocks()]


async def failure(
    kind: type[Kind], url: str, download: Download = DOWNLOAD, *, max_bytes: int = 10 * MIB
) -> Kind:
    """The error of a download. None of its texts has the query of the URL."""
    with pytest.raises(kind) as raised:
        await read(url, download, max_bytes=max_bytes)
    assert type(raised.value) is kind
    error: BaseException | None = raised.value
    while error is not None:
        assert "sesame" not in str(error)
        error = error.__cause__ or error.__context__
    return raised.value


@pytest.mark.parametrize("size", [1, 65_536, MIB - 1, MIB, MIB + 1, 2 * MIB + 7])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_comes_whole_and_in_blocks(size: int, chunked: bool) -> None:
    async with FileSource(BODY[:size], Turn(chunked=chunked)) as source:
        blocks = await read(source.url)
    assert b"".join(blocks) == BODY[:size]
    assert all(len(block) >= BLOCK_BYTES for block in blocks[:-1])
    copied = [block for block in blocks[:-1] if isinstance(block, bytes)]
    assert chunked or not copied  # of known length: no block is copied
    assert source.requests[0].headers["accept-encoding"] == "identity"


def reset(after: int) -> Turn:
    return Turn(break_after=after)


def closed(after: int) -> Turn:
    return Turn(end_after=after)


@pytest.mark.parametrize("breaks", [[0], [1], [MIB], [100, 200, 300], [LARGE, 1, 0, LARGE, 1, 0]])
@pytest.mark.parametrize("kind", [reset, closed])
async def test_a_broken_transfer_continues_where_it_stopped(
    breaks: list[int], kind: Callable[[int], Turn]
) -> None:
    turns = [kind(size) for size in breaks]
    async with FileSource(BODY, *turns) as source:
        assert b"".join(await read(source.url)) == BODY
    asked = [request.headers.get("if-range") for request in source.requests]
    assert asked == [None, *['"v1"'] * len(breaks)]


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", "aws-chunked"])
async def test_a_body_that_is_not_compressed_is_taken_however_the_source_says_so(
    encoding: str,
) -> None:
    async with FileSource(BODY, Turn(headers={"Content-Encoding": encoding})) as source:
        assert b"".join(await read(source.url)) == BODY


async def test_a_silent_source_gets_a_new_request_for_the_rest() -> None:
    async with FileSource(BODY, Turn(hang_after=MIB)) as source:
        download = Download(timeout_seconds=1.0, allow_private_sources=True, sleep=at_once)
        assert b"".join(await read(source.url, download)) == BODY
    first, second, *_ = source.requests  # on a busy machine, further requests may time out
    assert "range" not in first.headers
    offset = int(second.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < offset <= MIB


async def test_a_source_without_an_etag_is_resumed_by_the_time_of_its_change() -> None:
    changed = {"Last-Modified": "Sun, 29 Nov 2026 11:00:00 GMT"}
    turn = Turn(etag=None, headers=changed)
    broken = Turn(etag=None, headers=changed, break_after=MIB)
    async with FileSource(BODY, broken, turn) as source:
        assert b"".join(await read(source.url)) == BODY
    assert source.requests[1].headers["if-range"] == changed["Last-Modified"]


@pytest.mark.parametrize(
    "turn",
    [
        Turn(break_after=MIB, etag=None),
        Turn(break_after=MIB, etag='W/"v1"'),
        Turn(break_after=MIB, etag='"v\xfc"'),
        Turn(break_after=MIB, etag='"' + "v" * 2000),
        Turn(break_after=MIB, chunked=True),
    ],
)
async def test_a_transfer_that_cannot_be_resumed_safely_begins_again_later(turn: Turn) -> None:
    async with FileSource(BODY, turn) as source:
        error = await failure(SourceUnavailable, source.url)
    assert error.code == "source_broken"
    assert len(source.requests) == 1


@pytest.mark.parametrize("has_proxy", [False, True])
@pytest.mark.parametrize("turn", [Turn(with_length=False), Turn(with_length=False, end_after=MIB)])
async def test_a_body_that_only_the_end_of_the_connection_ends_is_not_taken_for_a_file(
    request: pytest.FixtureRequest, has_proxy: bool, turn: Turn
) -> None:
    proxies = Proxies()
    if has_proxy:
        proxies = Proxies(all=proxy_url(request.getfixturevalue("tinyproxy").url))
    download = Download(timeout_seconds=5, allow_private_sources=True, proxies=proxies)
    async with FileSource(BODY, turn) as source:
        error = await failure(SourceUnavailable, source.url, download)
    assert error.code == "source_without_length"
    assert len(source.requests) == 1


async def test_a_source_that_breaks_again_and_again_is_tried_later() -> None:
    async with FileSource(BODY, otherwise=Turn(break_after=1000)) as source:
        error = await failure(SourceUnavailable, source.url)
    assert error.code == "source_broken"
    assert len(source.requests) == 4


@pytest.mark.parametrize(
    "second",
    [
        Turn(etag='"v2"'),
        Turn(body=BODY + b"more"),
        Turn(ignore_range=True),
        Turn(status=416),
        Turn(headers={"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}),
        Turn(headers={"Content-Range": "bytes 1-2/three"}),
    ],
)
async def test_a_file_that_changed_between_two_ranges_begins_anew_later(second: Turn) -> None:
    async with FileSource(BODY, Turn(break_after=MIB), second) as source:
        with pytest.raises((SourceUnavailable, SourceDenied)):
            await read(source.url)


async def test_a_url_that_expires_in_the_midst_is_a_denial() -> None:
    async with FileSource(BODY, Turn(break_after=MIB), Turn(status=403)) as source:
        await failure(SourceDenied, source.url)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_a_denial_asks_for_a_fresh_url(status: int) -> None:
    async with FileSource(BODY, Turn(status=status)) as source:
        error = await failure(SourceDenied, source.url)
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize("status", [204, 206, 304, 408, 429, 500, 502, 503])
async def test_every_other_status_is_tried_later(status: int) -> None:
    async with FileSource(BODY, Turn(status=status)) as source:
        await failure(SourceUnavailable, source.url)


@pytest.mark.parametrize(
    "turn",
    [
        Turn(headers={"Content-Encoding": "gzip"}),
        Turn(chunked=True, headers={"Transfer-Encoding": "gzip, chunked"}),
        Turn(headers={"Content-Type": "text/html; charset=utf-8"}),
        Turn(headers={"Content-Type": "application/json"}),
        Turn(headers={"Content-Type": "Application/XML"}),
        Turn(headers={"Content-Length": "-5"}),
        Turn(headers={"X-Long": "x" * 70_000}),
        Turn(headers={"Bad Header": "\x00"}),
    ],
)
async def test_an_answer_that_cannot_be_used_is_tried_later(turn: Turn) -> None:
    async with FileSource(BODY, turn) as source:
        await failure(SourceUnavailable, source.url)


@pytest.mark.parametrize("turn", [Turn(hang_after=0), Turn(hang_after=10)])
async def test_a_source_that_stays_silent_is_tried_later(turn: Turn) -> None:
    async with FileSource(BODY, otherwise=turn) as source:
        error = await failure(SourceUnavailable, source.url, IMPATIENT)
    assert error.code == "source_silent"


async def test_a_source_that_does_not_answer_at_all_is_tried_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts no connection
        url = f"http://127.0.0.1:{server.getsockname()[1]}/?signature=sesame"
        assert (await failure(SourceUnavailable, url, IMPATIENT)).code == "source_silent"


async def test_a_source_that_does_not_listen_is_tried_later() -> None:
    async with FileSource(BODY) as source:
        url = source.url
    assert (await failure(SourceUnavailable, url)).code == "source_unreachable"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_above_the_bound_is_doubted(chunked: bool) -> None:
    async with FileSource(BODY, Turn(chunked=chunked)) as source:
        assert len(b"".join(await read(source.url, max_bytes=len(BODY)))) == len(BODY)
    async with FileSource(BODY, Turn(chunked=chunked)) as source:
        error = await failure(SourceDoubtful, source.url, max_bytes=len(BODY) - 1)
    assert error.code == "file_too_large"


@pytest.mark.parametrize("turn", [Turn(), Turn(chunked=True)])
async def test_a_file_without_bytes_is_doubted(turn: Turn) -> None:
    async with FileSource(b"", turn) as source:
        error = await failure(SourceDoubtful, source.url)
    assert error.code == "source_empty"


async def test_five_redirects_are_followed_and_six_are_not() -> None:
    redirect = Turn(status=302, location="/again?signature=sesame")
    async with FileSource(BODY, *[redirect] * 5) as source:
        assert b"".join(await read(source.url)) == BODY
    async with FileSource(BODY, *[redirect] * 6) as source:
        error = await failure(SourceUnavailable, source.url)
    assert error.code == "source_redirects"


@pytest.mark.parametrize(
    "location",
    [
        "ftp://127.0.0.1/sesame",
        "http://user:sesame@127.0.0.1/",
        "file:///etc/passwd",
        "http://[::/",
    ],
)
async def test_a_redirect_to_where_nothing_is_read_from_is_refused(location: str) -> None:
    async with FileSource(BODY, Turn(status=307, location=location)) as source:
        error = await failure(SourceDoubtful, source.url)
    assert "redirects to a URL that is not read from" in error.message


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433"])
async def test_a_private_address_is_not_even_connected_to(host: str) -> None:
    public_only = Download(timeout_seconds=5)
    async with FileSource(BODY) as source:
        url = f"https://{host}:{source.port}/?signature=sesame"
        error = await failure(SourceDoubtful, url, public_only)
    assert error.code == "private_address"
    assert source.requests == []


async def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lookups = []
    original = socket.getaddrinfo

    def counted(host: str, port: int, **options: object) -> object:
        lookups.append(host)
        return original("127.0.0.1", port, **options)  # type: ignore[arg-type]

    async with FileSource(BODY) as source:
        monkeypatch.setattr(socket, "getaddrinfo", counted)
        url = source.url.replace("127.0.0.1", "rebinding.example.com")
        assert b"".join(await read(url)) == BODY
    assert lookups == ["rebinding.example.com"]


async def test_downloads_share_the_bandwidth_of_the_replica() -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    bandwidth = Bandwidth(1000, now=lambda: 0.0, sleep=sleep)
    limited = Download(timeout_seconds=5, allow_private_sources=True, bandwidth=bandwidth)
    async with FileSource(BODY[:5000]) as source:
        await asyncio.gather(read(source.url, limited), read(source.url, limited))
    assert max(waited) == 10.0


@pytest.mark.parametrize(("least", "is_slow"), [(65_536, True), (0, False)])
async def test_a_source_that_trickles_for_five_minutes_is_tried_later(
    least: int, is_slow: bool
) -> None:
    minutes = itertools.count(step=60.0)  # pass while the copy waits for a piece
    trickling = Download(
        timeout_seconds=5,
        allow_private_sources=True,
        min_bytes_per_second=least,
        ticks=lambda: next(minutes),
    )
    async with FileSource(BODY) as source:
        if is_slow:
            assert (await failure(SourceUnavailable, source.url, trickling)).code == "source_slow"
        else:
            assert b"".join(await read(source.url, trickling)) == BODY
    assert len(source.requests) == 1


async def test_a_proxy_is_used_and_its_password_is_in_no_error(tinyproxy: TinyProxy) -> None:
    proxies = Proxies(all=proxy_url(tinyproxy.url))
    through = Download(timeout_seconds=5, allow_private_sources=True, proxies=proxies)
    async with FileSource(BODY, Turn(break_after=MIB)) as source:
        assert b"".join(await read(source.url, through)) == BODY
        assert len(source.requests) == 2
    assert PASSWORD not in (await failure(SourceUnavailable, source.url, through)).message


async def test_through_a_proxy_an_address_in_the_url_is_still_checked(tinyproxy: TinyProxy) -> None:
    through = Download(timeout_seconds=5, proxies=Proxies(all=proxy_url(tinyproxy.url)))
    await failure(SourceDoubtful, "https://10.0.0.1/?signature=sesame", through)
    assert not any("10.0.0.1" in request for request in tinyproxy.requests)
