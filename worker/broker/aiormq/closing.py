"""Lets a connection forget its closed channels.

Each channel adds a callback to the future of the connection's end, and should remove it when it
closes. Two things prevent that. aiormq returns a new future at each access. And aio-pika leaves the
callback if the broker closes the channel, or if its underlying channel is closed. So 4 kB would
stay of each channel. A worker opens one every 30 seconds, which would be 12 MB a day.
"""

import asyncio
from typing import Any

import aio_pika
from aio_pika.abc import TimeoutType, UnderlayConnection
from aiormq.connection import Connection
from yarl import URL


class ForgottenChannel(aio_pika.Channel):
    """A channel that its connection forgets, whoever closes it."""

    async def _on_close(self, closing: "asyncio.Future[Any]") -> BaseException | None:
        error = await super()._on_close(closing)
        if (underlay := self._channel) is not None:
            underlay.channel.connection.closing.remove_done_callback(underlay.close_callback)
        return error


class _OneEndConnection(Connection):
    """A connection with one future of its end. Nobody may cancel it."""

    @property
    def closing(self) -> "asyncio.Future[Any]":
        return self._closing


class OneEndUnderlay(UnderlayConnection):
    """Opens such a connection below one of aio-pika."""

    @classmethod
    async def make_connection(
        cls,
        url: URL,
        timeout: TimeoutType = None,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> Connection:
        """As the library's, with the other class."""
        connection = _OneEndConnection(url, **kwargs)
        await asyncio.wait_for(connection.connect(), timeout)
        await connection.ready()
        return connection
