"""Downloads every file of every recording with FastStream."""

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import httpx
from faststream import AckPolicy, FastStream
from faststream.exceptions import NackMessage
from faststream.rabbit import (
    Channel,
    ExchangeType,
    QueueType,
    RabbitBroker,
    RabbitExchange,
    RabbitQueue,
)

from recording_schemas import CloudEvent, FileEvent
from recording_schemas.faststream import event_decoder

FOLDER: Final = Path(os.environ.get("RECORDINGS_FOLDER") or "recordings")
RETRY_DELAY_SECONDS: Final = 10
DEAD_LETTERS: Final = "my-service.files.dead"
# The worker creates this exchange. `declare=False` only refers to it.
FILES: Final = RabbitExchange("recording.files", type=ExchangeType.TOPIC, declare=False)
QUEUE: Final = RabbitQueue(
    "my-service.files",
    queue_type=QueueType.QUORUM,
    durable=True,
    routing_key="*.*.ready",
    arguments={
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": DEAD_LETTERS,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once requires it
    },
)
log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs each URL
broker = RabbitBroker(os.environ["AMQP_URL"], graceful_timeout=25)
app = FastStream(broker)


@broker.subscriber(
    QUEUE,
    FILES,
    decoder=event_decoder,  # FastStream itself would give the handler bytes
    channel=Channel(prefetch_count=10),
    ack_policy=AckPolicy.REJECT_ON_ERROR,  # to the dead letters; NackMessage gives back
)
async def store(event: CloudEvent) -> None:
    """Store the file, then its owner. A repeated event finds both."""
    file = event.data
    if not isinstance(file, FileEvent) or file.download_url is None:
        return
    if Path(file.file_name).name != file.file_name:
        raise ValueError("the name of the file leads out of its folder")
    path = FOLDER / file.recording_id / file.file_name
    owner = path.with_name(f"{path.name}.json")
    if owner.exists():
        return
    try:
        await _download(file.download_url, path)
        with _replacing(owner) as output:
            output.write(json.dumps({"event_id": event.id, "user_id": file.user_id}).encode())
    except (httpx.HTTPError, OSError) as error:
        log.warning("event %s goes back to the queue: %r", event.id, error)
        await asyncio.sleep(RETRY_DELAY_SECONDS)
        raise NackMessage from error


async def _download(url: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    async with httpx.AsyncClient(timeout=30) as http, http.stream("GET", url) as response:
        if response.is_client_error and response.status_code not in {408, 429}:
            raise ValueError(f"the file cannot be downloaded: HTTP {response.status_code}")
        if not response.is_success:  # httpx's own error would show the URL, which is a secret
            raise httpx.HTTPError(f"HTTP {response.status_code}")
        with _replacing(path) as output:
            async for chunk in response.aiter_bytes():  # fails if the last bytes are missing
                output.write(chunk)


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, which gets the name `path` when it is complete and on disk.

    Until then it has a temporary name, because two handlers may write the same file.
    """
    part = path.with_name(f".{uuid.uuid4()}.part")
    try:
        with part.open("wb") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        part.rename(path)
        _sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Return when the names of the folder's files are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@app.on_startup
async def declare_dead_letters() -> None:
    """Rejected events wait here until a person has looked at them."""
    await broker.connect()
    exchange = await broker.declare_exchange(
        RabbitExchange(DEAD_LETTERS, type=ExchangeType.FANOUT, durable=True)
    )
    queue = await broker.declare_queue(
        RabbitQueue(DEAD_LETTERS, queue_type=QueueType.QUORUM, durable=True)
    )
    await queue.bind(exchange)


@app.after_startup
async def bind_renewed_urls() -> None:
    """Bind the queue a second time: FastStream itself binds it with one key."""
    queue = await broker.declare_queue(QUEUE)
    await queue.bind(FILES.name, "*.*.url_renewed")
    log.info("waiting for files")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(app.run())
