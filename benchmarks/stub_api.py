"""A stub of the recording API that costs so little that only its clients are measured.

`python -m benchmarks.stub_api` prints its port. It serves starts, the list and single recordings
under any path, and records the time of each meeting's start. It uses raw HTTP/1.1 on a transport: a
web framework would take the processor time that the contestants need.
"""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import uvloop

PER_PAGE: Final = 100
_HEAD_END: Final = b"\r\n\r\n"


class Start(msgspec.Struct):
    """The fields of a start's body that the stub reads."""

    meeting_id: str


class StubSettings(msgspec.Struct, forbid_unknown_fields=True):
    """POST /bench: how to behave from now on. Delays in seconds; `files` of every recording got;
    `listed`: 0 if the list is to stay empty."""

    delay: float | None = None
    files: int | None = None
    listed: float | None = None


class Stub:
    """The API's state: every recording stays INVOKED, unless it should have files."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.files = 0
        self.start_times: dict[str, list[float]] = {}
        self.is_listed = True
        self._rows: dict[str, dict[str, object]] = {}
        self._uploaded: dict[str, dict[str, object]] = {}

    def answer(self, method: bytes, target: str, body: bytes) -> tuple[float, bytes]:
        """The delay and the body of the answer."""
        path = urlsplit(target).path
        if path.startswith("/bench"):
            return 0.0, self._configure(body) if method == b"POST" else msgspec.json.encode(
                self.start_times
            )
        if method == b"POST":
            return self.delay, self._start(msgspec.json.decode(body, type=Start).meeting_id)
        if path.endswith("/recordings"):
            return self.delay, self._page(parse_qs(urlsplit(target).query))
        return self.delay, self._recording(path.rsplit("/", 1)[-1])

    def _configure(self, body: bytes) -> bytes:
        settings = msgspec.json.decode(body, type=StubSettings)
        self.delay = self.delay if settings.delay is None else settings.delay
        self.files = self.files if settings.files is None else settings.files
        self.is_listed = self.is_listed if settings.listed is None else bool(settings.listed)
        return b"{}"

    def _start(self, meeting_id: str) -> bytes:
        self.start_times.setdefault(meeting_id, []).append(time.monotonic())
        row = _row(str(uuid.uuid4()), meeting_id)
        self._rows[str(row["id"])] = row
        return msgspec.json.encode({"success": True, "data": {"recording": row}})

    def _page(self, query: dict[str, list[str]]) -> bytes:
        statuses = query.get("status", ["INVOKED"])[0].split(",")
        rows = list(self._rows.values()) if "INVOKED" in statuses and self.is_listed else []
        if meeting := query.get("meeting_id"):
            rows = [row for row in rows if row["meeting_id"] == meeting[0]]
        size = min(int(query.get("per_page", [str(PER_PAGE)])[0]), PER_PAGE)
        offset = (int(query.get("page_no", ["1"])[0]) - 1) * size
        page = rows[offset : offset + size]
        paging = {
            "total_count": len(rows),
            "start_offset": offset + 1 if page else 0,
            "end_offset": offset + len(page) if page else len(rows),
        }
        return msgspec.json.encode({"success": True, "data": page, "paging": paging})

    def _recording(self, recording_id: str) -> bytes:
        row = self._rows.get(recording_id)
        if self.files:
            if recording_id not in self._uploaded:
                row = _uploaded(row or _row(recording_id, str(uuid.uuid4())), self.files)
                self._uploaded[recording_id] = row
            row = self._uploaded[recording_id]  # the same files at every read
        return msgspec.json.encode({"success": row is not None, "data": row})


def _row(recording_id: str, meeting_id: str) -> dict[str, object]:
    return {
        "id": recording_id,
        "meeting_id": meeting_id,
        "session_id": None,
        "status": "INVOKED",
        "type": "TRACK",
        "output_file_name": None,
        "invoked_time": _iso_now(),
        "started_time": None,
        "stopped_time": None,
        "download_url": None,
        "download_url_expiry": None,
        "audio_download_url": None,
        "file_size": 0,
    }


def _uploaded(row: dict[str, object], count: int) -> dict[str, object]:
    """The row as it looks with its files, each of another participant."""
    user = uuid.uuid4().int
    names = (
        f"{uuid.UUID(int=user ^ n)}_{uuid.UUID(int=user ^ n << 64)}_peer_audio_{10**12 + n}.webm"
        for n in range(1, count + 1)
    )
    urls = {name: {"download_url": f"https://files.example.com/{name}"} for name in names}
    return {
        **row,
        "status": "UPLOADED",
        "started_time": row["invoked_time"],
        "stopped_time": _iso_now(),
        "download_url": [{"layer_name": "default", "download_urls": urls}],
        "download_url_expiry": _iso_now(),
    }


def _iso_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Connection(asyncio.Protocol):
    """One client's connection: requests in, answers out, one after the other."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport of a new client."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            head = self._received[:end]
            request_end = end + len(_HEAD_END) + _length(head)
            if len(self._received) < request_end:
                return
            body = self._received[end + len(_HEAD_END) : request_end]
            self._received = self._received[request_end:]
            method, target, _ = head.split(b"\r\n", 1)[0].split(b" ", 2)
            self._send(*self._stub.answer(method, target.decode("ascii"), body))

    def _send(self, delay: float, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        write: Callable[[], None] = lambda: self._write(head % len(body) + body)  # noqa: E731
        if delay:
            asyncio.get_running_loop().call_later(delay, write)
        else:
            write()

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":", 1)[1])
    return 0


async def serve() -> None:
    """Print the port, and serve until SIGTERM."""
    stub = Stub()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    server = await loop.create_server(lambda: Connection(stub), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    sys.exit(0)
