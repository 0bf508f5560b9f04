"""Reading the broker's frames, also those whose text is no UTF-8.

The broker hands on whatever bytes a publisher put into a correlation id, a header or a routing
key. The library ends the connection over bytes that it cannot decode, the broker delivers the
message again on the next one, and nothing behind it would ever be consumed.
"""

import asyncio
import struct
from typing import Any, Final

import aio_pika
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

UNREADABLE: Final = "x-unreadable-properties"
"""The header that stands in for properties that nobody could read."""

_HEAD: Final = struct.Struct(">BHI")
_METHOD, _HEADER = 1, 2
_DELIVER: Final = struct.pack(">HH", 60, 60)
_BODY_SIZE: Final = struct.Struct(">Q")


class TolerantConnection(aio_pika.Connection):
    """A connection on which every message arrives, if need be without its properties."""

    def __init__(self, url: URL, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(url, *args, **kwargs)
        tls = self.url.scheme == "amqps"
        self.kwargs["transport_factory"] = _Tolerant(
            TLSTransportFactory() if tls else TCPTransportFactory()
        )


class _Tolerant(TransportFactory):
    def __init__(self, plain: TransportFactory) -> None:
        self._plain = plain

    async def create(
        self,
        url: URL,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self._plain.create(url, **kwargs)
        return _Frames(reader), writer


class _Frames(asyncio.StreamReader):
    """What the library reads frames from: whole frames of another reader, made readable."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._reader = reader
        self._left = b""

    def at_eof(self) -> bool:
        return not self._left and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        if not self._left:
            self._left = await self._frame()
        taken, self._left = self._left[:n], self._left[n:]
        return taken

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(_HEAD.size)
        if head.startswith(b"AMQP"):  # another version of the protocol is offered
            return head
        kind, channel, length = _HEAD.unpack(head)
        payload = await self._reader.readexactly(length)
        end = await self._reader.readexactly(1)
        readable = payload
        if kind == _HEADER:
            readable = readable_header(payload)
        elif kind == _METHOD and payload.startswith(_DELIVER):
            readable = readable_deliver(payload)
        if readable is not payload:
            head = _HEAD.pack(kind, channel, len(readable))
        return head + readable + end


def readable_header(payload: bytes) -> bytes:
    """A content header, with its properties replaced by a mark if they cannot be decoded."""
    try:
        ContentHeader().unmarshal(payload)
    except Exception:  # noqa: BLE001 - whatever a decoder trips over in a stranger's bytes
        (size,) = _BODY_SIZE.unpack_from(payload, 4)
        marked = Basic.Properties(headers={UNREADABLE: True})
        return ContentHeader(body_size=size, properties=marked).marshal()
    return payload


def readable_deliver(payload: bytes) -> bytes:
    """The announcement of a delivery, with a routing key that can be decoded."""
    at = len(_DELIVER)
    at += 1 + payload[at]  # consumer tag
    at += 8 + 1  # delivery tag, redelivered
    at += 1 + payload[at]  # exchange
    key = payload[at + 1 :]
    try:
        key.decode()
    except UnicodeDecodeError:
        readable = key.decode(errors="ignore").encode()
        return payload[:at] + bytes([len(readable)]) + readable
    return payload
