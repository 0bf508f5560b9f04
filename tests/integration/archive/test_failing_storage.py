"""Storages that refuse, fail or do not answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from tests.integration.archive.local_server import LocalServer
from tests.integration.archive.object_stores import ACCESS_KEY, SECRET_KEY, s3_environ
from worker.archive.errors import ArchiveError, StorageRefused, StorageUnavailable
from worker.archive.storage import ArchiveStorage

MIB = 1024 * 1024
PART = 5 * MIB
ENDPOINTS = {
    "s3": {**s3_environ("{url}"), "AWS_SESSION_TOKEN": "sesame"},
    "gs": {"GOOGLE_BASE_URL": "{url}", "GOOGLE_BEARER_TOKEN": "sesame"},
    "az": {
        "AZURE_STORAGE_ENDPOINT": "{url}",
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=sesame",
    },
}
WORDS = "<Error><Code>TheCode</Code><Message>the words</Message><Token>sesame</Token></Error>"


class FailingStore(LocalServer):
    """Answers every request with one status, or never if it is None."""

    def __init__(self, status: int | None, body: str = WORDS) -> None:
        self._status = status
        self._body = body.encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
            while await reader.read(MIB):  # unread bytes would reset the connection
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        if self._status is None:
            await asyncio.Event().wait()
        body = b"" if head.startswith(b"HEAD") else self._body
        answer = f"HTTP/1.1 {self._status} Words\r\nConnection: close\r\n"
        writer.write(f"{answer}Content-Length: {len(self._body)}\r\n\r\n".encode() + body)


async def blocks() -> AsyncIterator[bytes]:
    for _ in range(12):
        yield bytes(MIB)


async def put(storage: ArchiveStorage) -> None:
    await storage.put("a.webm", b"body", "video/webm")


async def upload(storage: ArchiveStorage) -> None:
    await storage.upload("a.webm", blocks(), "video/webm", part_bytes=PART)


async def head(storage: ArchiveStorage) -> None:
    await storage.head("a.webm")


async def read(storage: ArchiveStorage) -> None:
    async for _ in storage.read("a.webm"):
        pass


Call = Callable[[ArchiveStorage], Awaitable[None]]
CALLS: list[Call] = [put, upload, head, read]


@pytest.fixture(params=sorted(ENDPOINTS))
def open_at(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ArchiveStorage]:
    """Opens a storage of each provider at the URL of a server."""

    def opened(url: str, request_timeout_seconds: float = 30.0) -> ArchiveStorage:
        for name, value in ENDPOINTS[request.param].items():
            monkeypatch.setenv(name, value.format(url=url))
        return ArchiveStorage.open(
            f"{request.param}://bucket/prefix",
            request_timeout_seconds=request_timeout_seconds,
            max_retries=0,
        )

    return opened


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, StorageRefused),
        (404, StorageRefused),
        (503, StorageUnavailable),
        (None, StorageUnavailable),
    ],
)
async def test_a_failure_of_the_storage_is_a_refusal_or_passes(
    open_at: Callable[..., ArchiveStorage],
    call: Call,
    status: int | None,
    kind: type[ArchiveError],
) -> None:
    async with FailingStore(status) as store:
        with pytest.raises(kind) as raised:
            await call(open_at(store.url, 30.0 if status else 0.2))
    assert status is None or f"HTTP {status}" in raised.value.message
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    for secret in ("sesame", SECRET_KEY, ACCESS_KEY):
        assert secret not in str(raised.value)


async def test_the_storage_has_the_last_word_in_the_message(
    open_at: Callable[..., ArchiveStorage],
) -> None:
    async with FailingStore(403) as store:
        with pytest.raises(StorageRefused, match="HTTP 403, TheCode, the words"):
            await put(open_at(store.url))


async def test_a_storage_that_does_not_listen_is_tried_later(
    open_at: Callable[..., ArchiveStorage],
) -> None:
    async with FailingStore(200) as store:
        url = store.url
    with pytest.raises(StorageUnavailable):
        await put(open_at(url))


async def test_without_credentials_the_error_names_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_environ("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StorageRefused, match="set AWS_ACCESS_KEY_ID"):
        await put(ArchiveStorage.open("s3://bucket"))


@pytest.mark.parametrize(
    "body",
    [
        "<x",
        "{}",
        "<R><Upload><Key>prefix/a</Key></Upload></R>",
        "<R><Upload><Key>prefix/a</Key><Initiated>never</Initiated></Upload></R>",
    ],
)
async def test_a_list_of_uploads_that_is_none_is_asked_for_later(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FailingStore(200, body) as store:
        for name, value in s3_environ(store.url).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(StorageUnavailable):
            await ArchiveStorage.open("s3://bucket/prefix").abort_abandoned(
                started_before=datetime.now(UTC)
            )
