"""A source of one file over HTTP with the faults of networks and object stores."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

import msgspec

from tests.loopback_server import LoopbackServer

NEVER = 10**9


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is answered. By default: with the file, or the requested range."""

    status: int | None = None
    headers: dict[str, str] = {}
    location: str | None = None
    break_after: int = NEVER
    """After this many bytes of the body the connection is reset."""
    end_after: int = NEVER
    """After this many bytes of the body the connection is closed."""
    hang_after: int = NEVER
    """After this many bytes of the body no more bytes arrive."""
    chunked: bool = False
    with_length: bool = True
    ignore_range: bool = False
    body: bytes | None = None
    etag: str | None = '"v1"'


class Request(msgspec.Struct, frozen=True):
    """A request as it was received: its target, and its headers in lower case."""

    target: str
    headers: dict[str, str]


class FileSource:
    """Serves `body`. Each request takes the next of `turns`. Later requests get the whole file."""

    def __init__(
        self,
        body: bytes,
        *turns: Turn,
        otherwise: Turn | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.body = body
        self.turns = list(turns)
        self.requests: list[Request] = []
        self.otherwise = otherwise or Turn()
        self._server = LoopbackServer(self._serve, tls=tls)
        self._scheme = "https" if tls else "http"

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self.port = self._server.port
        self.url = f"{self._scheme}://127.0.0.1:{self.port}/files/track.webm?signature=sesame"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = _parse(await reader.readuntil(b"\r\n\r\n"))
            self.requests.append(request)
            turn = self.turns.pop(0) if self.turns else self.otherwise
            await self._answer(request, turn, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, turn: Turn, writer: asyncio.StreamWriter) -> None:
        body = self.body if turn.body is None else turn.body
        status, first = turn.status or 200, 0
        headers = {"Content-Type": "video/webm", "Connection": "close", **turn.headers}
        if turn.etag:
            headers["ETag"] = turn.etag
        if turn.location:
            headers["Location"] = turn.location
        byte_range = request.headers.get("range")
        if byte_range and not turn.ignore_range and not turn.status:
            status, first = 206, int(byte_range.removeprefix("bytes=").removesuffix("-"))
            headers.setdefault("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        payload = body[first:] if status < 300 else b"<Error/>"
        if turn.chunked:
            headers.setdefault("Transfer-Encoding", "chunked")
        elif turn.with_length:
            headers.setdefault("Content-Length", str(len(payload)))
        head = [
            f"HTTP/1.1 {status} Words",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join((*head, "", "")).encode("latin-1"))
        await self._send(payload, turn, writer)

    async def _send(self, payload: bytes, turn: Turn, writer: asyncio.StreamWriter) -> None:
        limit = min(turn.break_after, turn.end_after, turn.hang_after)
        for at in range(0, min(len(payload), limit), 65_536):
            piece = payload[at : min(at + 65_536, limit)]
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if turn.chunked else piece)
            await writer.drain()
        if len(payload) <= limit:
            writer.write(b"0\r\n\r\n" if turn.chunked else b"")
            await writer.drain()
        elif turn.hang_after == limit:
            await asyncio.Event().wait()
        elif turn.break_after == limit:
            writer.transport.abort()


def _parse(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Request(first.split(" ")[1], {name.lower(): value for name, _, value in pairs})
