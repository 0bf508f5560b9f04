"""Lets a connection forget its closed channels.

Each channel adds a callback to the future of the connection's end, and removes it when it closes.
But aiormq returns a new future at each access. So the callback stays, with 4 kB for each channel.
A worker opens one every 30 seconds, which would be 12 MB a day.
"""

import asyncio
from typing import Any

from aio_pika.abc import TimeoutType, UnderlayConnection
from aiormq.connection import Connection
from yarl import URL


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
