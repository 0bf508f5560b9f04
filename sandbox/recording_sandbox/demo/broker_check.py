"""Checks that the broker of AMQP_URL takes connections, before the demo starts anything."""

import asyncio
import logging
from typing import Final

import aio_pika
from aio_pika.exceptions import AMQPError
from yarl import URL

from recording_sandbox.services.processes import LaunchError

TIMEOUT_SECONDS: Final = 5.0


async def require_broker(amqp_url: str) -> None:
    """Connect once. Raises LaunchError, which names the host without the password."""
    # The library also logs the error that it raises.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = await aio_pika.connect(amqp_url)
    except TimeoutError:
        raise LaunchError(_text(amqp_url, f"no answer within {TIMEOUT_SECONDS:g} s")) from None
    except (AMQPError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LaunchError(_text(amqp_url, reason)) from error
    await connection.close()


def _text(amqp_url: str, reason: str) -> str:
    url = URL(amqp_url)
    return (
        f"AMQP_URL: no connection to RabbitMQ at {url.host}:{url.port or 5672}: {reason}. Without "
        "AMQP_URL, the demo starts a broker of its own"
    )
