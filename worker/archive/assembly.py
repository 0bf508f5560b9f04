"""Builds the archive of one replica from the settings."""

import asyncio
from collections.abc import Awaitable, Callable

from worker.archive.abandoned_uploads import AbandonedUploads
from worker.archive.archiver import Archiver
from worker.archive.backfill import Backfill
from worker.archive.bandwidth import Bandwidth
from worker.archive.copier import Copier
from worker.archive.download import Download
from worker.archive.file_copies import FileCopies, ReadAgain
from worker.archive.folder_mark import FolderMark
from worker.archive.manifest_writer import ManifestWriter, ReadParticipants
from worker.archive.storage import ArchiveStorage
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.settings.archive import ArchiveSettings
from worker.settings.proxies import Proxies
from worker.store.store import Store


def build_archiver(
    settings: ArchiveSettings,
    storage: ArchiveStorage,
    store: Store,
    *,
    owner: str,
    proxies: Proxies,
    read_again: ReadAgain,
    read_participants: ReadParticipants,
    metrics: Metrics,
    tracing: Tracing,
    now: Callable[[], float] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Archiver:
    """The archiver of this replica, which copies to `storage`. `now` is the store's clock."""
    now = now or store.now
    rate = settings.archive_max_bytes_per_second
    download = Download(
        timeout_seconds=settings.archive_timeout_seconds,
        allow_private_sources=settings.archive_allow_private_sources,
        proxies=proxies,
        min_bytes_per_second=settings.archive_min_bytes_per_second,
        bandwidth=None if rate is None else Bandwidth(rate),
    )
    copier = Copier(
        storage,
        download,
        part_bytes=settings.archive_part_bytes,
        max_file_bytes=settings.archive_max_file_bytes,
    )
    uploads = AbandonedUploads(storage, now=now, sleep=sleep)
    folder = FolderMark(storage, store.archive, now=now)
    files = FileCopies(
        store.archive,
        copier,
        settings.archive_key,
        uploads,
        folder,
        owner=owner,
        read_again=read_again,
        longest_pause=settings.archive_retry_max_seconds,
        now=now,
        metrics=metrics,
        tracing=tracing,
    )
    manifests = ManifestWriter(
        store.archive,
        storage,
        settings.archive_manifest_key,
        folder,
        owner=owner,
        read_participants=read_participants,
        longest_pause=settings.archive_retry_max_seconds,
        now=now,
    )
    return Archiver(
        store.archive,
        files,
        manifests,
        uploads,
        Backfill(store.archive, now=now, sleep=sleep),
        folder,
        owner=owner,
        concurrency=settings.archive_concurrency,
        now=now,
        sleep=sleep,
    )
