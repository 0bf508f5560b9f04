"""`python -m benchmarks.history.bench`: the cost of millions of finished recordings.

A short and a long history are written into new databases, everything is measured on both
alternately, and the databases are removed. Filling five million takes a quarter of an hour and 28
GB on each engine, one after the other.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.bench_environment import open_bench_environment
from benchmarks.history.fill import History, fill, sizes
from benchmarks.history.lives import SOURCE, Rows, rows_of_lives
from benchmarks.history.measuring import measure, plans
from benchmarks.history.operations import OPERATIONS
from benchmarks.history.places import Place, go_live
from benchmarks.history.ready import measure_processes
from benchmarks.history.report import LABELS, operations_table, write
from benchmarks.history.results import EngineResults, Measured
from benchmarks.report import markdown
from recording_sandbox.services.postgresql_launch import launch_postgresql
from worker.store.admin.state_reader import StateReader
from worker.store.store import Store

SHORT: Final = 20_000
BYTES_EACH: Final = 6_500
"""The most disk space per recording, including its share of other tables and working space."""

Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it into a page."""
    options = _options(arguments)
    if options.results:
        found = [
            msgspec.json.decode(path.read_bytes(), type=EngineResults) for path in options.results
        ]
    else:
        found = [_measure(engine, options, print) for engine in options.engines.split(",")]
    print(markdown(operations_table(found)))
    if options.docs:
        write(found, options.docs)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000, help="finished recordings")
    parser.add_argument("--event-days", type=float, default=1.0, help="of kept events")
    parser.add_argument("--repetitions", type=int, default=12, help="of each operation")
    parser.add_argument("--engines", default="sqlite,postgresql")
    parser.add_argument("--folder", type=Path, help="where the databases lie meanwhile")
    parser.add_argument("--save", type=Path, default=Path("build/history"), help="for the plans")
    parser.add_argument("--results", type=Path, nargs="*", help="files of former runs to show")
    parser.add_argument("--docs", type=Path, help="the page to write the table into")
    return parser.parse_args(arguments)


def _measure(engine: str, options: argparse.Namespace, say: Say) -> EngineResults:
    """Measure one engine. Its databases are removed afterwards."""
    options.save.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="history-", dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another user
        _check_room(folder, options.rows)
        (folder / "lives").mkdir()
        rows = asyncio.run(rows_of_lives(folder / "lives"))
        with _databases(engine, folder) as new_database:
            results = asyncio.run(_measure_on(engine, new_database, rows, options, say))
    path = options.save / f"{engine}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    say(f"{LABELS[engine]}: results and plans are in {options.save}")
    return results


def _check_room(folder: Path, rows: int) -> None:
    needed, free = rows * BYTES_EACH, shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"{folder} has {free / 1e9:.0f} GB left and {rows:,} recordings need"
            f" {needed / 1e9:.0f} GB: choose another --folder or fewer --rows"
        )


@contextmanager
def _databases(engine: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Makes empty databases, and returns their URLs."""
    if engine == "sqlite":
        yield lambda: f"sqlite:///{folder / f'{time.monotonic_ns()}.db'}"
        return
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)  # where the server keeps its files
    try:
        with launch_postgresql(durable=True, private=True) as server:
            yield server.new_database
    finally:
        tempfile.tempdir = before


async def _measure_on(
    engine: str, new_database: Callable[[], str], rows: Rows, options: argparse.Namespace, say: Say
) -> EngineResults:
    histories = [
        History(recordings=count, until=time.time(), event_days=options.event_days)
        for count in (SHORT, options.rows)
    ]
    urls = [await _filled(new_database(), history, rows, say) for history in histories]
    size = sizes(urls[-1])["all"]
    measured = await _operations(urls, histories, options, say)
    measured += await _processes(engine, urls)
    return EngineResults(
        engine=engine,
        short_rows=SHORT,
        long_rows=options.rows,
        event_days=options.event_days,
        size=size,
        operations=measured,
    )


async def _filled(url: str, history: History, rows: Rows, say: Say) -> str:
    await (await Store.open(url, source=SOURCE)).close()
    await asyncio.to_thread(fill, url, history, rows, say)
    return url


async def _operations(
    urls: Sequence[str], histories: Sequence[History], options: argparse.Namespace, say: Say
) -> list[Measured]:
    with ExitStack() as readers:
        places = []
        for url, history in zip(urls, histories, strict=True):
            store = await Store.open(url, source=SOURCE, archives=True)
            reader = StateReader(url, timeout=60.0)
            readers.callback(reader.close)
            places.append(Place(url=url, history=history, store=store, reader=reader))
            await go_live(places[-1])
        measured, statements = await measure(
            OPERATIONS, places, repetitions=options.repetitions, say=say
        )
        for place in places:
            await place.store.close()
    engine = "sqlite" if urls[0].startswith("sqlite") else "postgresql"
    (options.save / f"plans-{engine}.txt").write_text(plans(urls[-1], statements))
    return measured


async def _processes(engine: str, urls: Sequence[str]) -> list[Measured]:
    async with open_bench_environment(with_postgresql=False) as environment:
        return await measure_processes(engine, environment, urls, rounds=4, commands=1_000)


if __name__ == "__main__":
    main()
