"""The settings of a worker that uses a sandbox, and its queues and exchanges on a broker."""

import secrets
from collections.abc import Mapping
from typing import Final

import aio_pika

from recording_sandbox.demo.worker_client import EXCHANGES

RETRY_DELAYS_SECONDS: Final = (1, 5, 30)
SWEEP_INTERVAL_SECONDS: Final = 0.25


def worker_settings(amqp_url: str, api: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The variables of a worker that reacts quickly and keeps its state in its own directory.

    `api` are those of the sandbox.
    """
    return {
        "REALTIMEKIT_API_TOKEN": secrets.token_hex(16),
        **api,
        "AMQP_URL": amqp_url,
        "DATABASE_URL": "sqlite:///state.db",
        "LOG_FORMAT": "json",
        "WORKER_NAME_PREFIX": prefix,
        "WORKER_RETRY_DELAYS_SECONDS": ",".join(map(str, RETRY_DELAYS_SECONDS)),
        "WORKER_SWEEP_INTERVAL_SECONDS": str(SWEEP_INTERVAL_SECONDS),
    }


async def delete_names(amqp_url: str, prefix: str) -> None:
    """Delete the queues and exchanges that the worker declared on an external broker."""
    retry_queues = (f"commands.retry.{delay}s" for delay in RETRY_DELAYS_SECONDS)
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        for name in ("commands", "commands.dead", "commands.unanswered", *retry_queues):
            await channel.queue_delete(f"{prefix}.{name}")
        for name in ("commands", "dead-letter", *EXCHANGES):
            await channel.exchange_delete(f"{prefix}.{name}")
