"""`naive <app url> <file of ids>`: polling, one GET for each recording every ten seconds.

Prints each new status as JSON. If the API asks it to wait, it waits and then continues.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

EVERY_SECONDS: Final = 10.0
AT_ONCE: Final = 100


class _Recording(msgspec.Struct):
    status: str


class _Answer(msgspec.Struct):
    data: _Recording


class Naive:
    """Reads recordings and prints their new statuses."""

    def __init__(self, url: str, recordings: list[str]) -> None:
        self._url = url
        self._known = dict.fromkeys(recordings, "RECORDING")
        self._wait_until = 0.0

    async def run(self) -> None:
        """Poll forever: a round every ten seconds, or as soon as the last one is over."""
        headers = {"Authorization": "Bearer secret"}
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(headers=headers, connector=connector) as http:
            while True:
                begin = time.monotonic()
                queue = iter(list(self._known))
                async with asyncio.TaskGroup() as group:
                    for _ in range(AT_ONCE):
                        group.create_task(self._read_all(http, queue))
                await asyncio.sleep(max(0.0, begin + EVERY_SECONDS - time.monotonic()))

    async def _read_all(self, http: aiohttp.ClientSession, queue: Iterator[str]) -> None:
        for recording_id in queue:
            await asyncio.sleep(max(0.0, self._wait_until - time.monotonic()))
            async with http.get(f"{self._url}/recordings/{recording_id}") as answer:
                if answer.status == 429:
                    self._wait_until = time.monotonic() + int(answer.headers["retry-after"])
                    continue
                status = msgspec.json.decode(await answer.read(), type=_Answer).data.status
            if self._known[recording_id] != status:
                self._known[recording_id] = status
                self._print_change(recording_id, status)

    def _print_change(self, recording_id: str, status: str) -> None:
        change = {"recording_id": recording_id, "status": status, "at": time.time()}
        print(msgspec.json.encode(change).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(Naive(sys.argv[1], Path(sys.argv[2]).read_text().split()).run())
