"""Events that the broker refused become ready again when their destination accepts others."""

from recording_schemas import Media, Status
from tests.contract.store.test_pruning import NOW, observation
from worker.domain.track_files import TrackFile
from worker.store.outbox_marks import Deferral, Offer, PageMarks, Release
from worker.store.store import Store

START = NOW.timestamp()
LATER = START + 3600.0


async def upload(store: Store, name: str, *kinds: Media) -> None:
    """The recording has ended with a file of each of these kinds."""
    listed = tuple(
        TrackFile(file_name=f"{kind}.webm", media_kind=kind, user_id="u", download_url="u")
        for kind in kinds
    )
    await store.apply([observation(name, Status.UPLOADED, files=listed, files_final=True)])


async def test_an_event_that_waits_for_another_destination_does_not_keep_those_behind_it(
    store: Store,
) -> None:
    """The audio of `both` is refused still, so its video cannot go out."""
    await upload(store, "both", "audio", "video")
    await upload(store, "one", "video")
    refused = await store.unsent(20)
    deferred = [
        Deferral(position=event.position, retry_at=LATER, tries=1, losses=0, error="full")
        for event in refused
        if event.exchange == "files" and "ready" in event.routing_key
    ]
    sent = [event.position for event in refused if event.exchange == "status"]
    await store.mark_page(PageMarks(sent=sent, deferred=deferred), START)
    release = Release(exchange="files", routing_key="track.video.ready", limit=1)

    ready = await store.unsent(20, marks=PageMarks(released=[release]), now=START)

    assert [event.subject for event in ready] == ["one", "one"]


async def test_an_offer_releases_the_events_of_its_destination_that_had_another_error(
    store: Store,
) -> None:
    await upload(store, "full")
    await upload(store, "late")
    errors = {
        ("full", "status"): "a queue is full",
        ("late", "status"): "not confirmed",
        ("full", "files"): "not confirmed",
    }
    deferred = [
        Deferral(position=event.position, retry_at=LATER, tries=1, losses=0, error=error)
        for event in await store.unsent(20)
        if (error := errors.get((event.subject, event.exchange)))
    ]
    await store.mark_page(PageMarks(deferred=deferred), START)
    offer = Offer(exchange="status", routing_key="track.uploaded", error="a queue is full")

    ready = await store.unsent(20, marks=PageMarks(offers=[offer]), now=START)

    assert [(event.subject, event.exchange) for event in ready] == [
        ("late", "status"),
        ("late", "files"),
    ]
