"""Lets a connection forget its closed channels.

Each channel adds a callback to the future of the connection's end, and should remove it when it
closes. Two faults of the libraries prevent that: aiormq returns a new future at each access, and
aio-pika does not remove the callback if the broker closes the channel, or if the channel below it
is closed. Each channel would leave 4 kB. A worker opens one every 30 seconds: 12 MB a day.
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


class _OneFutureConnection(Connection):
    """A connection whose `closing` is one future, the same at each access. Do not cancel it."""

    @property
    def closing(self) -> "asyncio.Future[Any]":
        return self._closing


class OneFutureUnderlay(UnderlayConnection):
    """Lets aio-pika open connections of this kind."""

    @classmethod
    async def make_connection(
        cls,
        url: URL,
        timeout: TimeoutType = None,
        **kwargs: Any,  # noqa: ANN401 - passed on
    ) -> Connection:
        """As the library's, with the other class."""
        connection = _OneFutureConnection(url, **kwargs)
        await asyncio.wait_for(connection.connect(), timeout)
        await connection.ready()
        return connection
