"""Reads the copies in the archive back, a few at a time, and reports each."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import click
import msgspec

from worker.archive.errors import StorageUnavailable
from worker.archive.storage import ArchiveStorage
from worker.archive.verification import Verified, verify_copy, verify_manifest
from worker.cli.archive.places import Places
from worker.cli.output import print_json
from worker.domain.escaping import escape_controls
from worker.store.admin.copy_rows import StoredCopy, StoredManifest

MAX_UNREADABLE: Final = 5
"""After this many unreadable objects in a row, the storage counts as unavailable."""

_PROGRESS_INTERVAL_SECONDS: Final = 0.2

Stored = StoredCopy | StoredManifest
Report = Callable[[Stored, Verified], None]


class Totals(msgspec.Struct):
    """What was verified: objects, their bytes, and how many differ from the archived files.
    Those that are `elsewhere` are counted separately."""

    objects: int = 0
    size_bytes: int = 0
    faults: int = 0
    elsewhere: Places = msgspec.field(default_factory=Places)


class Verifier:
    """Verifies objects one after the other or concurrently, and passes each to `report`.

    With `only_here`, those that are elsewhere are not reported.
    """

    def __init__(self, storage: ArchiveStorage, report: Report, *, only_here: bool) -> None:
        self.totals = Totals()
        self._storage = storage
        self._report = report
        self._only_here = only_here
        self._unreadable = 0
        self._shown_at = 0.0
        self._write_error: OSError | None = None

    async def verify(self, objects: Iterator[Stored], *, concurrency: int) -> None:
        """Verify all objects.

        Raises StorageUnavailable in an ExceptionGroup if the storage seems unavailable. Raises
        OSError if `report` cannot write. Before that, the objects in progress are read to their
        ends: the storage library prints a traceback if a read ends after the event loop.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(concurrency):
                    group.create_task(self._take_turns(objects), name=f"verify {number}")
        finally:
            self._clear_progress()
        if self._write_error is not None:
            raise self._write_error

    async def _take_turns(self, objects: Iterator[Stored]) -> None:
        for stored in objects:  # the tasks share the iterator
            verified = await self._verify_one(stored)
            if self._write_error is not None:
                return
            try:
                self._show(stored, verified)
            except OSError as error:
                self._write_error = error
                return

    def _show(self, stored: Stored, verified: Verified) -> None:
        self._count(stored, verified)
        self._clear_progress()
        if verified.result != "elsewhere" or not self._only_here:
            self._report(stored, verified)
        self._show_progress()

    async def _verify_one(self, stored: Stored) -> Verified:
        try:
            if isinstance(stored, StoredCopy):
                verified = await verify_copy(self._storage, stored.copied)
            else:
                verified = await verify_manifest(
                    self._storage, stored.manifest_url, stored.checksums
                )
        except StorageUnavailable as error:
            self._unreadable += 1
            if self._unreadable >= MAX_UNREADABLE:
                raise
            return Verified("unreadable", error.message)
        self._unreadable = 0
        return verified

    def _count(self, stored: Stored, verified: Verified) -> None:
        if verified.result == "elsewhere":
            self.totals.elsewhere.add(_url(stored))
            return
        self.totals.objects += 1
        self.totals.faults += verified.result != "ok"
        if isinstance(stored, StoredCopy) and verified.result == "ok":
            self.totals.size_bytes += stored.copied.size_bytes

    def _show_progress(self) -> None:
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._shown_at >= _PROGRESS_INTERVAL_SECONDS:
            self._shown_at = now
            click.echo(f"\r{summary(self.totals)}", err=True, nl=False)

    def _clear_progress(self) -> None:
        if self._shown_at:
            click.echo("\r\x1b[K", err=True, nl=False)


def summary(totals: Totals) -> str:
    """The totals as text."""
    objects = f"{totals.objects:,} object{'' if totals.objects == 1 else 's'}"
    faults = f"{totals.faults:,} not as archived" if totals.faults else "all as archived"
    return f"{objects}, {totals.size_bytes:,} bytes: {faults}"


def print_verified(stored: Stored, verified: Verified) -> None:
    """Print one JSON line. A manifest has no `file_name`."""
    print_json(
        {
            "recording_id": stored.recording_id,
            "file_name": _file_name(stored),
            "archive_url": _url(stored),
            "result": verified.result,
            "detail": verified.detail,
        }
    )


def print_fault(stored: Stored, verified: Verified) -> None:
    """Print an object that differs from the archived file. Those elsewhere are only counted."""
    if verified.result not in {"ok", "elsewhere"}:
        label = click.style(verified.result.ljust(10), fg="red", bold=True)
        name = _file_name(stored) or "(manifest)"
        text = f"{stored.recording_id}  {name}  {verified.detail}"
        click.echo(f"{label}  {escape_controls(text)}")


def _file_name(stored: Stored) -> str | None:
    return stored.file_name if isinstance(stored, StoredCopy) else None


def _url(stored: Stored) -> str:
    return stored.copied.archive_url if isinstance(stored, StoredCopy) else stored.manifest_url
