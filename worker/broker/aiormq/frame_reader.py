"""Reading the broker's frames, also those whose text is no UTF-8.

The broker hands on whatever bytes a publisher put into a correlation id, a header or a routing
key. The library ends the connection over bytes that it cannot decode, the broker delivers the
message again on the next one, and nothing behind it would ever be consumed.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aio_pika
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.header import ContentHeader
from yarl import URL

from worker.broker.aiormq.delivery_decoder import (
    DELIVER,
    HEADER,
    METHOD,
    UNREADABLE,
    DeliveryAssembler,
    OnDelivery,
    body_size_of,
    properties_of,
    routing_key_at,
)

READ_CHUNK_BYTES: Final = 2**16
"""How much is read at once at most."""

HEARTBEAT_INTERVAL_SECONDS: Final = 1.0
"""So often, at least, the library is told that the broker lives."""

_HEAD: Final = struct.Struct(">BHI")
_END: Final = 0xCE
_HEARTBEAT: Final = b"\x08\0\0\0\0\0\0\xce"


class TolerantConnection(aio_pika.Connection):
    """A connection on which every message arrives, if need be without its properties."""

    def __init__(self, url: URL, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(url, *args, **kwargs)
        tls = self.url.scheme == "amqps"
        self._assemblies: dict[int, DeliveryAssembler] = {}
        self.kwargs["transport_factory"] = _Tolerant(
            TLSTransportFactory() if tls else TCPTransportFactory(), self._assemblies
        )

    def take_deliveries(self, channel: int, take: OnDelivery) -> None:
        """From now on hand what is delivered on the channel of that number to `take`."""
        self._assemblies[channel] = DeliveryAssembler(take)


class _Tolerant(TransportFactory):
    def __init__(
        self, plain: TransportFactory, assemblies: Mapping[int, DeliveryAssembler]
    ) -> None:
        self._plain = plain
        self._assemblies = assemblies

    async def create(
        self,
        url: URL,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self._plain.create(url, **kwargs)
        return _Frames(reader, self._assemblies, time.monotonic), writer


class _Frames(asyncio.StreamReader):
    """What the library reads frames from: another reader's, made readable, without deliveries."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        assemblies: Mapping[int, DeliveryAssembler],
        ticks: Callable[[], float],
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._ticks = ticks
        self._reader = reader
        self._assemblies = assemblies
        self._read = b""  # read, and from `_at` on not looked at
        self._at = 0
        self._left = b""  # of the frame that the library is reading
        self._handed_at = self._ticks()

    def at_eof(self) -> bool:
        return not self._left and self._at == len(self._read) and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        if not self._left:
            self._left = await self._next()
            self._handed_at = self._ticks()
        taken, self._left = self._left[:n], self._left[n:]
        return taken

    async def _next(self) -> bytes:
        """The next frame that is the library's."""
        while True:
            frame = await self._frame()
            kind, channel, _ = _HEAD.unpack_from(frame)
            assembly = self._assemblies.get(channel)
            whole = frame[-1] == _END
            if assembly is None or not whole or not assembly.took(kind, frame[_HEAD.size : -1]):
                return _readable(kind, channel, frame)
            # While a broker delivers it sends no heartbeats: the library would miss them.
            if self._ticks() - self._handed_at >= HEARTBEAT_INTERVAL_SECONDS:
                return _HEARTBEAT

    async def _frame(self) -> bytes:
        """The next frame, whole. Raises IncompleteReadError at the connection's end."""
        while True:
            at, read = self._at, self._read
            if len(read) - at >= _HEAD.size:
                if read.startswith(b"AMQP", at):  # another version of the protocol is offered
                    end = at + _HEAD.size
                else:
                    end = at + _HEAD.size + _HEAD.unpack_from(read, at)[2] + 1
                if end <= len(read):
                    self._at = end
                    return read[at:end]
            more = await self._reader.read(READ_CHUNK_BYTES)
            if not more:
                raise asyncio.IncompleteReadError(read[at:], _HEAD.size)
            self._read, self._at = read[at:] + more, 0


def _readable(kind: int, channel: int, frame: bytes) -> bytes:
    payload = frame[_HEAD.size : -1]
    readable = payload
    if kind == HEADER:
        readable = readable_header(payload)
    elif kind == METHOD and payload.startswith(DELIVER):
        readable = readable_deliver(payload)
    if readable is payload:
        return frame
    return _HEAD.pack(kind, channel, len(readable)) + readable + frame[-1:]


def readable_header(payload: bytes) -> bytes:
    """A content header, with its properties replaced by a mark if they cannot be decoded."""
    properties = properties_of(payload)
    if UNREADABLE not in (properties.headers or {}):
        return payload
    return ContentHeader(body_size=body_size_of(payload), properties=properties).marshal()


def readable_deliver(payload: bytes) -> bytes:
    """The announcement of a delivery, with a routing key that can be decoded."""
    at = routing_key_at(payload)
    key = payload[at + 1 :]
    try:
        key.decode()
    except UnicodeDecodeError:
        readable = key.decode(errors="ignore").encode()
        return payload[:at] + bytes([len(readable)]) + readable
    return payload
