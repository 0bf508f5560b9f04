"""Reads the broker's frames, takes deliveries out, and repairs text that is not UTF-8.

The broker forwards any bytes that a publisher put into a correlation id, a header or a routing key.
The library closes the connection over bytes that it cannot decode. The broker would then deliver
the message again on the next connection, and no later message would ever be consumed.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import aio_pika
from aio_pika.abc import TimeoutType
from aio_pika.exceptions import AMQPError
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from yarl import URL

from worker.broker.aiormq.closing import ForgottenChannel, OneFutureUnderlay
from worker.broker.aiormq.delivery_decoder import (
    DELIVER,
    HEADER,
    METHOD,
    DeliveryAssembler,
    OnDelivery,
    body_size,
    decoded_headers,
    properties_of,
    routing_key_offset,
)
from worker.broker.properties import CONTENT_TYPE, CORRELATION_ID, identifier, text_property

READ_CHUNK_BYTES: Final = 2**16

HEARTBEAT_INTERVAL_SECONDS: Final = 1.0
"""While the broker sends only deliveries, the library gets a heartbeat this often."""

_HEAD: Final = struct.Struct(">BHI")
_FRAME_END: Final = 0xCE
_HEARTBEAT_FRAME: Final = b"\x08\0\0\0\0\0\0\xce"

Assemblers = Mapping[int, DeliveryAssembler]
"""The assemblers of the channels whose deliveries bypass the library, by channel number."""


class TolerantConnection(aio_pika.Connection):
    """A connection on which every message arrives, even with undecodable properties."""

    CHANNEL_CLASS = ForgottenChannel

    def __init__(self, url: URL, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(url, *args, **kwargs)
        self._assemblers: dict[int, DeliveryAssembler] = {}
        self._ending: asyncio.Future[Any] | None = None
        is_tls = self.url.scheme == "amqps"
        self.kwargs["transport_factory"] = _FrameReaderFactory(
            TLSTransportFactory() if is_tls else TCPTransportFactory(), self._assemblers
        )

    async def connect(self, timeout: TimeoutType = None) -> None:
        """Connect, as the library does."""
        self.transport = await OneFutureUnderlay.connect(
            self.url, self._on_connection_close, timeout=timeout, **self.kwargs
        )
        self._ending = self.transport.connection.closing
        await self._on_connected()

    @property
    def end_reason(self) -> AMQPError | None:
        """Why the broker or the network ended the connection. None while it is open, and if this
        process closed it."""
        ending = self._ending
        if ending is None or not ending.done() or ending.cancelled():
            return None
        error = ending.exception()
        # The library closes a connection with an error that has no text.
        return error if isinstance(error, AMQPError) and error.args else None

    def route_deliveries(
        self,
        channel: int,
        on_delivery: OnDelivery,
        may_hold: Callable[[int], bool] = lambda _size: True,
    ) -> None:
        """From now on pass deliveries on the channel with this number to `on_delivery`.

        If `may_hold` refuses the size of a body, the delivery has no body.
        """
        self._assemblers[channel] = DeliveryAssembler(on_delivery, may_hold)

    def end_deliveries(self, channel: int) -> None:
        """Forget the channel with this number, which is closed, and what its deliveries hold."""
        self._assemblers.pop(channel, None)


class _FrameReaderFactory(TransportFactory):
    def __init__(self, factory: TransportFactory, assemblers: Assemblers) -> None:
        self._factory = factory
        self._assemblers = assemblers

    async def create(
        self,
        url: URL,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self._factory.create(url, **kwargs)
        return FrameReader(reader, self._assemblers, time.monotonic), writer


class FrameReader(asyncio.StreamReader):
    """The reader from which the library reads its frames. It has no frames of deliveries."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        assemblers: Assemblers,
        ticks: Callable[[], float],
    ) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._ticks = ticks
        self._reader = reader
        self._assemblers = assemblers
        self._buffer = b""
        self._offset = 0  # the bytes of the buffer before this position were read
        self._unread = b""  # the rest of the frame that the library is reading
        self._library_read_at = self._ticks()

    def at_eof(self) -> bool:
        return not self._unread and self._offset == len(self._buffer) and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        if not self._unread:
            self._unread = await self._next_library_frame()
            self._library_read_at = self._ticks()
        part, self._unread = self._unread[:n], self._unread[n:]
        return part

    async def _next_library_frame(self) -> bytes:
        while True:
            frame = await self._next_frame()
            kind, channel, _ = _HEAD.unpack_from(frame)
            assembler = self._assemblers.get(channel)
            is_intact = frame[-1] == _FRAME_END
            if (
                assembler is None
                or not is_intact
                or not assembler.accept(kind, frame[_HEAD.size : -1])
            ):
                return _readable_frame(kind, channel, frame)
            # A broker sends no heartbeats while it delivers, and the library would expect them.
            if self._ticks() - self._library_read_at >= HEARTBEAT_INTERVAL_SECONDS:
                return _HEARTBEAT_FRAME

    async def _next_frame(self) -> bytes:
        """The next complete frame. Raises IncompleteReadError at the end of the connection."""
        while True:
            start, buffer = self._offset, self._buffer
            if len(buffer) - start >= _HEAD.size:
                if buffer.startswith(b"AMQP", start):  # the broker offers another protocol version
                    end = start + _HEAD.size
                else:
                    end = start + _HEAD.size + _HEAD.unpack_from(buffer, start)[2] + 1
                if end <= len(buffer):
                    self._offset = end
                    return buffer[start:end]
            chunk = await self._reader.read(READ_CHUNK_BYTES)
            if not chunk:
                raise asyncio.IncompleteReadError(buffer[start:], _HEAD.size)
            self._buffer, self._offset = buffer[start:] + chunk, 0


def _readable_frame(kind: int, channel: int, frame: bytes) -> bytes:
    payload = frame[_HEAD.size : -1]
    readable = payload
    if kind == HEADER:
        readable = _readable_header(payload)
    elif kind == METHOD and payload.startswith(DELIVER):
        readable = _readable_deliver(payload)
    if readable is payload:
        return frame
    return _HEAD.pack(kind, channel, len(readable)) + readable + frame[-1:]


def _readable_header(payload: bytes) -> bytes:
    """A content header without the parts that the library cannot decode.

    A returned message without its `message_id` would count as one that a queue has accepted.
    """
    try:
        ContentHeader().unmarshal(payload)
    except Exception:  # noqa: BLE001 - a decoder may raise anything for unknown bytes
        properties = properties_of(payload)
        headers = decoded_headers(properties)
        readable = Basic.Properties(
            headers={name: v for name, v in headers.items() if isinstance(v, str | int)},
            content_type=text_property(properties, CONTENT_TYPE),
            correlation_id=text_property(properties, CORRELATION_ID),
            message_id=identifier(properties),
        )
        return ContentHeader(body_size=body_size(payload), properties=readable).marshal()
    return payload


def _readable_deliver(payload: bytes) -> bytes:
    """The announcement of a delivery. Bytes of its routing key that are not UTF-8 are left out."""
    offset = routing_key_offset(payload)
    key = payload[offset + 1 :]
    try:
        key.decode()
    except UnicodeDecodeError:
        readable = key.decode(errors="ignore").encode()
        return payload[:offset] + bytes([len(readable)]) + readable
    return payload
