"""An archiver for tests that are not about the API's answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from worker.aio import cancel_all
from worker.archive.archiver import Archiver
from worker.archive.assembly import build_archiver
from worker.archive.storage import ArchiveStorage
from worker.domain.snapshot import Participant
from worker.observability.metrics import Metrics
from worker.observability.tracing import Tracing
from worker.settings.archive import ArchiveSettings
from worker.settings.proxies import NO_PROXIES
from worker.store.store import Store


async def no_observation(app: str, recording_id: str) -> None:
    """Reads a recording again, without a new observation."""
    del app, recording_id


async def no_participants(app: str, session_id: str) -> tuple[Participant, ...]:
    """Reads the participants of a session that had none."""
    del app, session_id
    return ()


def wired_archiver(
    settings: ArchiveSettings, storage: ArchiveStorage, store: Store, *, owner: str = "me"
) -> Archiver:
    """An archiver whose API reads return nothing new."""
    return build_archiver(
        settings,
        storage,
        store,
        owner=owner,
        proxies=NO_PROXIES,
        read_again=no_observation,
        read_participants=no_participants,
        metrics=Metrics(CollectorRegistry(), version="1"),
        tracing=Tracing(),
    )


@asynccontextmanager
async def running(archiver: Archiver, store: Store) -> AsyncIterator[None]:
    """Run the archiver; commits to the store wake it."""
    store.subscribe("archive", archiver.wake)
    task = asyncio.create_task(archiver.run(lambda: False))
    try:
        yield
    finally:
        await cancel_all([task])
