"""The worker's operations to follow recordings and to publish events."""

from typing import Final

import msgspec

from benchmarks.history.places import APP, LISTED, LIVE, Place, Run, expect, live_id, observed
from recording_schemas import Status
from worker.domain.recording import Observation
from worker.store.due_reads import DueQuery
from worker.store.observations import WebhookObservation
from worker.store.outbox_marks import PageMarks
from worker.store.read_schedule import OverdueQuery, UnlistedQuery
from worker.store.stop_times import DueStopsQuery


async def _sweep(place: Place, repetition: int) -> None:
    store, now = place.store, place.store.now()
    await store.find_live(APP)
    first = repetition * LISTED % LIVE
    listed = [live_id(number) for number in range(first, first + LISTED)]
    await store.find_tracked(listed)
    await store.find_starting([f"meeting-{recording_id}/track" for recording_id in listed])
    await store.apply([observed(recording_id, now) for recording_id in listed])
    await store.find_unlisted(UnlistedQuery(app=APP, now=now))
    late = dict.fromkeys((Status.INVOKED, Status.UPLOADING), now - 600.0)
    overdue = OverdueQuery(app=APP, now=now, changed_before=late, first_seen_before=late)
    await store.schedule_overdue(overdue)
    await store.find_overdue(overdue)


async def _due(place: Place, repetition: int) -> None:
    now = place.store.now()
    query = DueQuery(app=APP, now=now, swept_at=now - 60, max_single_reads=9, limit=20)
    await place.store.find_due_reads(query)
    await place.store.due_stops(DueStopsQuery(app=APP, now=now, limit=9))


async def _late_list(place: Place, repetition: int) -> None:
    """A page of the list with only recordings of the past."""
    observations = [_seen_again(place, repetition * LISTED + number) for number in range(LISTED)]
    await place.store.find_tracked(
        [observation.snapshot.recording_id for observation in observations]
    )
    await place.store.apply(observations)


def _seen_again(place: Place, repetition: int) -> Observation:
    recording_id, meeting_id = (
        place.past(id_kind, repetition) for id_kind in ("recording", "meeting")
    )
    now = place.store.now()
    return observed(recording_id, now, Status.UPLOADED, meeting_id=meeting_id)


async def _webhook(place: Place, repetition: int) -> None:
    observation = _seen_again(place, repetition)
    webhook = msgspec.structs.replace(observation, observed_by="webhook")
    await place.store.apply_webhook(WebhookObservation(observation=webhook))


async def _relay(place: Place, repetition: int) -> None:
    """Publish events. The operations before have left enough for all repetitions."""
    waiting = await place.store.unsent(100)
    expect(len(waiting) == 100)
    sent = PageMarks(sent=[event.position for event in waiting])
    await place.store.mark_page(sent, place.store.now())


async def _metrics(place: Place, repetition: int) -> None:
    store = place.store
    await store.count_by_status()
    await store.count_by_app()
    await store.staleness()
    await store.outbox_depth()
    await store.count_parked()
    await store.archive.depth()


FOLLOWING: Final[dict[str, Run]] = {
    "a sweep with a page of 100 of 1,000 live ones": _sweep,
    "a page of the list with 100 of history": _late_list,
    "the reads and stops that are due": _due,
    "a webhook about a recording of history": _webhook,
    "a page of the relay with 100 events": _relay,
    "the gauges of the metrics": _metrics,
}
