"""Checks that the broker of AMQP_URL takes connections, before the demo starts anything."""

import asyncio
import logging
from typing import Final

import aio_pika
from aio_pika.exceptions import AMQPError
from yarl import URL

from recording_sandbox.services.processes import LaunchError

TIMEOUT_SECONDS: Final = 5.0
REFUSED_VIRTUAL_HOST: Final = (
    "the virtual host in the URL does not exist, or its user may not use it"
)


async def require_broker(amqp_url: str) -> None:
    """Connect once. Raises LaunchError, which names the host without the password."""
    url = _parsed(amqp_url)
    # The library also logs the error that it raises.
    logging.getLogger("aiormq").addHandler(logging.NullHandler())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            connection = await aio_pika.connect(amqp_url)
    except TimeoutError:
        raise LaunchError(_text(url, f"no answer within {TIMEOUT_SECONDS:g} s")) from None
    except (AMQPError, OSError) as error:
        raise LaunchError(_text(url, _reason(error))) from error
    await connection.close()


def _parsed(amqp_url: str) -> URL:
    try:
        url = URL(amqp_url)
        is_right = url.scheme in {"amqp", "amqps"} and bool(url.host)
    except ValueError:
        is_right = False
    if not is_right:  # not shown, because a password may be in it
        raise LaunchError("AMQP_URL: must be a URL such as amqp://user:password@rabbitmq:5672/")
    return url


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    # All that the library says of a broker that closes the connection while it is opened.
    return REFUSED_VIRTUAL_HOST if "Connection.OpenOk" in text else text.splitlines()[0].rstrip(".")


def _text(url: URL, reason: str) -> str:
    return (
        f"AMQP_URL: no connection to RabbitMQ at {url.host}:{url.port or 5672}: {reason}. Without "
        "AMQP_URL, the demo starts a private broker"
    )
