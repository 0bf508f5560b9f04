"""`python -m benchmarks.store_history`: what history costs, on SQLite.

The same commands are claimed and finished, and their events read and marked as sent, on two
databases by turns: one empty, one with a million finished commands and sent events.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import CommandSucceeded, Status
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import Observation, Recording, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.store.claims import ClaimRequest
from worker.store.database.engine import open_engine
from worker.store.database.schema import files, inbox, outbox, recordings
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

ROUNDS: Final = 5
COMMANDS: Final = 1_000
AT_ONCE: Final = 50
CHUNK: Final = 50_000
LONG_AGO: Final = 1_700_000_000.0


def finish(command_id: str, *seen: Observation) -> FinishRequest:
    data = CommandSucceeded(
        command_id=command_id,
        command_type="start_track_recording",
        recording_ids=("r",),
        metadata=None,
    )
    record = outcome_record(
        data, source="bench", at=datetime.now(UTC), correlation_id=None, trace={}
    )
    return FinishRequest(outcome=record, reply=Reply(), observations=seen, now=time.time())


def history(count: int) -> Iterator[tuple[sa.Table, Iterable[dict[str, Any]]]]:
    """Rows as they are when all is over: a command, its event; a recording and file for half."""
    outcome = finish("some-command-id").outcome
    ended = Recording(recording_id="r", app="default", kind="track", status=Status.UPLOADED)
    done = {
        "command_type": "start_track_recording", "state": "done", "attempts": 1, "crashes": 0,
        "alone": False, "first_seen_at": LONG_AGO, "finished_at": LONG_AGO,
        "outcome": msgspec.json.encode(outcome).decode(),
    }  # fmt: skip
    over = {
        "app": "default", "kind": "track", "status": "UPLOADED", "version": 4, "open": False,
        "state": msgspec.json.encode(ended).decode(), "changed_at": LONG_AGO,
    }  # fmt: skip
    sent = {
        "event_type": outcome.event_type, "exchange": "results", "headers": "{}",
        "routing_key": outcome.routing_key, "body": outcome.body.encode(),
        "created_at": LONG_AGO, "sent_at": LONG_AGO,
    }  # fmt: skip
    yield inbox, ({**done, "command_id": f"old-{n}", "slot": f"m{n}/track"} for n in range(count))
    yield (
        recordings,
        (
            {**over, "recording_id": f"r-{n}", "meeting_id": f"m{n}", "start_id": f"old-{n}"}
            for n in range(count // 2)
        ),
    )
    found = {"file_index": 1, "file_name": "f.webm", "found_at": LONG_AGO}
    yield files, ({**found, "recording_id": f"r-{n}"} for n in range(count // 2))
    yield outbox, ({**sent, "event_id": f"e-{n}", "subject": f"old-{n}"} for n in range(count))


def fill(url: str, count: int) -> None:
    """Insert the history, many rows to a transaction."""
    engine = open_engine(url)
    for table, rows in history(count):
        whole = iter(rows)
        while chunk := [row for _, row in zip(range(CHUNK), whole, strict=False)]:
            with engine.begin() as connection:
                connection.execute(sa.insert(table), chunk)
    engine.dispose()


async def one_command(store: Store, command_id: str) -> None:
    """Claim a start and finish it with its recording."""
    now = time.time()
    await store.claim(
        ClaimRequest(
            command_id=command_id, command_type="start_track_recording", owner="bench", now=now,
            lease_seconds=60.0, settle_seconds=30.0, abandoned_before=now - 3600.0,
            slot=f"{command_id}/track", meeting_id=command_id,
        )
    )  # fmt: skip
    at = datetime.now(UTC)
    seen = Observation(
        snapshot=RecordingSnapshot(recording_id=command_id, status=Status.INVOKED, kind="track"),
        observed_by="command", asked_at=at, observed_at=at, start=StartContext(start_id=command_id),
    )  # fmt: skip
    await store.finish(finish(command_id, seen))


async def round_of(store: Store, number: int) -> tuple[float, float]:
    """Microseconds for a claim and finish, and for reading and marking their events."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(n: int) -> None:
        async with turns:
            await one_command(store, f"new-{number}-{n}")

    began = time.perf_counter()
    await asyncio.gather(*(in_turn(n) for n in range(COMMANDS)))
    executed = time.perf_counter()
    while waiting := await store.unsent(500):
        await store.mark_page(PageMarks(sent=[event.position for event in waiting]), time.time())
    relayed = time.perf_counter()
    return (executed - began) / COMMANDS * 1e6, (relayed - executed) / COMMANDS * 1e6


async def measure(folder: Path, rows: int) -> None:
    """Print the figures of both databases and their ratios."""
    stores: dict[str, Store] = {}
    opened: dict[str, float] = {}
    for name in ("empty", "history"):
        url = f"sqlite:///{folder / name}.db"
        await (await Store.open(url, source="bench")).close()
        if name == "history":
            began = time.perf_counter()
            await asyncio.to_thread(fill, url, rows)
            print(f"{rows:,} rows of history written in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        stores[name] = await Store.open(url, source="bench")
        opened[name] = time.perf_counter() - began
    told: dict[str, list[tuple[float, float]]] = {name: [] for name in stores}
    for number in range(ROUNDS + 1):
        for name, store in stores.items():
            told[name].append(await round_of(store, number))
    print("database   µs/claim+finish   µs/event relayed   ms to open")
    for name, figures in told.items():
        executed, relayed = (statistics.median(column) for column in zip(*figures[1:], strict=True))
        print(f"{name:9}  {executed:15.0f}   {relayed:16.0f}   {opened[name] * 1e3:10.1f}")
        await stores[name].close()
    ratios = [b[0] / a[0] for a, b in zip(told["empty"][1:], told["history"][1:], strict=True)]
    print(f"ratio of claim+finish, history to empty: {statistics.median(ratios):.2f}")


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description="What history costs, on SQLite.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), parser.parse_args().rows))


if __name__ == "__main__":
    main()
