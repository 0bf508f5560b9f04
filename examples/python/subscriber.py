"""Downloads every file of every recording. Acknowledges an event when its file is on disk."""

import asyncio
import logging
import os
import signal
import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aio_pika
import httpx
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, AbstractRobustConnection
from aio_pika.exceptions import AMQPError
from publisher import PERMANENT, SERVICE, CommandClient

from recording_schemas import (
    CloudEvent,
    CommandSucceeded,
    FileEvent,
    NotAnEvent,
    SyncRecording,
    decode_event,
)

QUEUE: Final = f"{SERVICE}.files"
DEAD_LETTERS: Final = f"{SERVICE}.files.dead"
BINDINGS: Final = ("*.*.ready", "*.*.url_renewed")
CONCURRENCY: Final = 10
MAX_BYTES: Final = 5 * 2**30
RETRY_DELAYS_SECONDS: Final = (1, 5, 25)
SYNC_LIMIT: Final = timedelta(minutes=10)
log = logging.getLogger(__name__)
logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs each URL


class PoisonError(Exception):
    """The event can never be handled. A person has to look at it."""


class SeenEvents:
    """The ids of handled events, in SQLite. A repeat of an event has the same id."""

    def __init__(self, file: Path) -> None:
        self._database = sqlite3.connect(file, timeout=30)
        self._database.executescript("""
            pragma journal_mode = wal;
            create table if not exists seen (
                event_id text primary key, recording_id text, file_name text,
                user_id text, custom_participant_id text, path text
            );
        """)

    def __contains__(self, event_id: str) -> bool:
        query = "select 1 from seen where event_id = ?"
        return self._database.execute(query, (event_id,)).fetchone() is not None

    def add(self, event_id: str, file: FileEvent, path: Path | None) -> None:
        """Store an event's id and the path of its file. Returns when both are on disk."""
        owner = (file.user_id, file.custom_participant_id)
        row = (event_id, file.recording_id, file.file_name, *owner, path and str(path))
        with self._database:
            self._database.execute("insert or ignore into seen values (?, ?, ?, ?, ?, ?)", row)


class Downloader:
    """Handles the events of files. A kill at any point loses nothing."""

    def __init__(
        self,
        folder: Path,
        seen_events: SeenEvents,
        http: httpx.AsyncClient,
        commands: CommandClient,
    ) -> None:
        self._folder = folder.resolve()
        self._seen_events = seen_events
        self._http = http
        self._commands = commands

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Acknowledge the event, dead-letter it, or give it back to the queue."""
        try:
            try:
                await self._store(decode_event(message.body))
            except (NotAnEvent, PoisonError, httpx.InvalidURL) as error:
                log.error("event %s is dead-lettered: %s", message.message_id, error)
                await message.reject(requeue=False)
            except (*PERMANENT, httpx.HTTPError, OSError, sqlite3.Error) as error:
                log.warning("event %s goes back to the queue: %r", message.message_id, error)
                await message.nack(requeue=True)
            else:
                await message.ack()
        except AMQPError as error:
            log.warning("connection lost: the broker delivers the event again: %r", error)

    async def _store(self, event: CloudEvent) -> None:
        if isinstance(event.data, FileEvent) and event.id not in self._seen_events:
            self._seen_events.add(event.id, event.data, await self._fetch(event.data))

    async def _fetch(self, file: FileEvent) -> Path | None:
        """Where the file is now; None if it is in your own storage."""
        path = (self._folder / file.recording_id / file.file_name).resolve()
        if self._folder not in path.parents:
            raise PoisonError("the name of the file leads out of the folder")
        if path.exists():  # an event with a new URL, or a kill after the download
            return path
        if file.download_url is None:  # see `file.storage`
            return None
        if file.download_url_expiry and file.download_url_expiry <= datetime.now(UTC):
            await self._request_new_url(file.recording_id)
            raise PoisonError("the URL has expired. A new URL, if there is one, has its own event")
        await self._download(file.download_url, path)
        return path

    async def _request_new_url(self, recording_id: str) -> None:
        deadline = datetime.now(UTC) + SYNC_LIMIT
        command_id = f"{SERVICE}-{uuid.uuid4()}"
        outcome = await self._commands.execute(
            SyncRecording(id=command_id, recording_id=recording_id, deadline=deadline)
        )
        if not isinstance(outcome, CommandSucceeded):
            raise PoisonError(f"the URL has expired and cannot be renewed: {outcome}")

    async def _download(self, url: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        for seconds in RETRY_DELAYS_SECONDS:
            try:
                return await self._download_once(url, path)
            except (httpx.HTTPError, OSError) as error:
                log.warning("download failed, trying again in %s s: %r", seconds, error)
                await asyncio.sleep(seconds)
        await self._download_once(url, path)

    async def _download_once(self, url: str, path: Path) -> None:
        part = path.with_name(f".{uuid.uuid4()}.part")  # two handlers may have the same file
        async with self._http.stream("GET", url) as response:
            if response.is_client_error and response.status_code not in {408, 429}:
                raise PoisonError(f"the file cannot be downloaded: HTTP {response.status_code}")
            if not response.is_success:  # httpx's own error would show the URL, which is a secret
                raise httpx.HTTPError(f"HTTP {response.status_code}")
            try:
                await _write(response, part)
                part.rename(path)
            finally:
                part.unlink(missing_ok=True)
        _sync(path.parent)


async def _write(response: httpx.Response, part: Path) -> None:
    """Write the body into a file. Returns when it is on disk.

    httpx raises if the connection ends before the last byte.
    """
    with part.open("wb") as output:
        async for chunk in response.aiter_bytes():
            if output.tell() + len(chunk) > MAX_BYTES:
                raise PoisonError(f"the file has more than {MAX_BYTES} bytes")
            output.write(chunk)
        output.flush()
        os.fsync(output.fileno())


def _sync(folder: Path) -> None:
    """Return when the names of the folder's files are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def declare_queue(connection: AbstractRobustConnection) -> AbstractQueue:
    """The queue of this service: durable, replicated, with its own dead-letter queue.

    The exchange `recording.files` must exist. The worker creates it, or
    `recording-worker topology declare` does.
    """
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=CONCURRENCY)
    await channel.declare_exchange(DEAD_LETTERS, "fanout", durable=True)
    dead_letters = await channel.declare_queue(
        DEAD_LETTERS, durable=True, arguments={"x-queue-type": "quorum"}
    )
    await dead_letters.bind(DEAD_LETTERS)
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": DEAD_LETTERS,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once requires it
    }
    queue = await channel.declare_queue(QUEUE, durable=True, arguments=arguments)
    for binding in BINDINGS:
        await queue.bind("recording.files", binding)
    return queue


async def main(amqp_url: str, folder: Path) -> None:
    """Handle events until SIGTERM, then finish the downloads that have begun."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder.mkdir(parents=True, exist_ok=True)
    async with (
        await aio_pika.connect_robust(amqp_url) as connection,
        CommandClient(amqp_url) as commands,
        httpx.AsyncClient(timeout=30) as http,
        asyncio.TaskGroup() as handlers,  # its end waits for the last handler
    ):
        downloader = Downloader(folder, SeenEvents(folder / "seen.db"), http, commands)

        async def on_message(message: AbstractIncomingMessage) -> None:
            handlers.create_task(downloader.handle(message))

        queue = await declare_queue(connection)
        consumer = await queue.consume(on_message)
        log.info("waiting for files")
        await stop.wait()
        await queue.cancel(consumer)


def run() -> None:
    """Run with the settings of the environment."""
    logging.basicConfig(level=logging.INFO)
    asyncio.run(
        main(os.environ["AMQP_URL"], Path(os.environ.get("RECORDINGS_FOLDER") or "recordings"))
    )


if __name__ == "__main__":
    run()
