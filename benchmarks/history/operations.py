"""What is measured: everything that the worker, the command line and the console ask the database.

Each operation is a function of a `Place` and of the number of its repetition, so that each
repetition is about another part of the history.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from benchmarks.history.fill import History
from benchmarks.history.lives import OWNER, SHARES, outcome_of
from recording_schemas import Status
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.times import utc
from worker.store.admin.archive_pages import read_archive, read_recording_archive
from worker.store.admin.archived_files import (
    EntriesFilter,
    read_entries,
    read_failed_recordings,
)
from worker.store.admin.command_pages import (
    find_starts_of_meeting,
    read_commands_page,
    read_unfinished,
    summarise,
)
from worker.store.admin.live_now import read_now
from worker.store.admin.overview import read_overview
from worker.store.admin.past_commands import (
    CommandPlace,
    PastCommandsFilter,
    read_past_commands,
    summarize_past_commands,
)
from worker.store.admin.read_only import read_recordings
from worker.store.admin.recording_details import find_details, read_details
from worker.store.admin.recording_pages import PagePlace, read_page
from worker.store.admin.search import search
from worker.store.admin.set_aside import read_set_aside
from worker.store.admin.short_ids import IdKind, find_whole_ids
from worker.store.admin.state_reader import StateReader
from worker.store.admin.stored_copies import CopiesFilter, each_stored
from worker.store.claims import ClaimRequest
from worker.store.clock_repair import Repair
from worker.store.finishing import FinishRequest
from worker.store.observations import WebhookObservation
from worker.store.outbox import Reply
from worker.store.outbox_marks import PageMarks
from worker.store.pruning import PruneRequest, PruneSentRequest
from worker.store.queries import RecordingsFilter
from worker.store.read_schedule import DueQuery, OverdueQuery, UnlistedQuery
from worker.store.stop_times import DueStopsQuery
from worker.store.store import Store

LIVE: Final = 1_000
"""How many recordings are live meanwhile."""

LISTED: Final = 100
"""Recordings on a page of the API's list."""

APP: Final = "default"
MIN_PRUNED: Final = 200
"""How many recordings a step of pruning finds to remove, at each repetition."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A database and what is in it."""

    url: str
    history: History
    store: Store
    reader: StateReader

    def number(self, repetition: int, life: int | None = None) -> int:
        """The number of a recording somewhere in the newer half of history, of this life."""
        half = self.history.recordings // 2
        number = half + (repetition * 7_919 + 13) * 104_729 % half
        step = 0 if life is None else SHARES.index(life)
        return min(number // 10 * 10 + step, self.history.recordings - 10 + step)

    def past(self, what: str, repetition: int, life: int | None = None) -> str:
        """An id of history."""
        return self.history.id_of(what, self.number(repetition, life))

    def prune_before(self, repetition: int) -> float:
        """A time before which some more recordings have ended than at the repetition before."""
        return self.history.ended_at(MIN_PRUNED * (repetition + 1))


Run = Callable[[Place, int], Awaitable[object]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is measured."""

    name: str
    group: str
    run: Run


def live_id(number: int) -> str:
    """The id of a recording that goes on."""
    return f"live-{number}"


async def go_live(place: Place) -> None:
    """Add the recordings that go on meanwhile."""
    now = place.store.now()
    for first in range(0, LIVE, LISTED):
        seen = [_seen(live_id(number), now) for number in range(first, first + LISTED)]
        await place.store.apply(seen)
    while waiting := await place.store.unsent(500):
        sent = PageMarks(sent=[event.position for event in waiting])
        await place.store.mark_page(sent, now)


def _seen(
    recording_id: str,
    now: float,
    status: Status = Status.RECORDING,
    start_id: str | None = None,
    meeting_id: str | None = None,
) -> Observation:
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id=recording_id,
            status=status,
            kind="track",
            meeting_id=meeting_id or f"meeting-{recording_id}",
            invoked_time=utc(now),
        ),
        observed_by="sweep",
        asked_at=utc(now),
        observed_at=utc(now),
        start=StartContext(start_id=start_id) if start_id else None,
    )


def _expect(is_found: object) -> None:
    """An operation that finds nothing of history would be measured for nothing."""
    if not is_found:
        raise LookupError("it did not find what is there")


# Commands


def _claim(place: Place, command_id: str, kind: str, **more: object) -> ClaimRequest:
    now = place.store.now()
    times = {"lease_seconds": 60.0, "settle_seconds": 30.0, "abandoned_before": now - 3600.0}
    fields = {"command_type": kind, "owner": OWNER, "now": now, "app": APP, **times, **more}
    return ClaimRequest(command_id=command_id, **fields)  # type: ignore[arg-type]


async def _finish(place: Place, command_id: str, kind: str, *seen: Observation) -> None:
    now = place.store.now()
    outcome = outcome_of(command_id, kind, seen[0].snapshot.recording_id if seen else "", utc(now))
    await place.store.finish(
        FinishRequest(outcome=outcome, reply=Reply(), observations=seen, now=now)
    )


_START: Final = "start_track_recording"
_STOP: Final = "stop_recording"


async def _start(place: Place, repetition: int) -> None:
    command_id = f"new-{repetition}-{place.store.now()}"
    meeting_id = f"meeting-of-{command_id}"
    slot = f"{meeting_id}/track"
    await place.store.claim(_claim(place, command_id, _START, slot=slot, meeting_id=meeting_id))
    now = place.store.now()
    seen = _seen(f"recording-{command_id}", now, Status.INVOKED, command_id, meeting_id)
    await _finish(place, command_id, _START, seen)


async def _starts(place: Place, repetition: int) -> None:
    await asyncio.gather(*(_start(place, 1000 * repetition + number) for number in range(100)))


async def _repeated_start(place: Place, repetition: int) -> None:
    claim = _claim(place, place.past("start", repetition), _START, slot="m/track", meeting_id="m")
    _expect((await place.store.claim(claim)).verdict == "done")


def _stop_by(what: str) -> Run:
    async def stop(place: Place, repetition: int) -> None:
        command_id = f"stop-{what}-{repetition}-{place.store.now()}"
        subject = place.past(what, repetition)
        slots = {"rival_slots": (f"{subject}/track", f"{subject}/composite")}
        more = slots if what == "meeting" else {}
        claim = _claim(
            place, command_id, _STOP, cancels_starts=True, **{f"{what}_id": subject}, **more
        )
        await place.store.claim(claim)
        await _finish(place, command_id, _STOP)

    return stop


async def _replay(place: Place, repetition: int) -> None:
    newest = place.history.recordings - 1 - repetition % 100
    recording_id = place.history.id_of("recording", newest)
    _expect(await place.store.find_replayable([recording_id]))


# Following and publishing


async def _sweep(place: Place, repetition: int) -> None:
    store, now = place.store, place.store.now()
    await store.live(APP)
    first = repetition * LISTED % LIVE
    listed = [live_id(number) for number in range(first, first + LISTED)]
    await store.tracked(listed)
    await store.starting([f"meeting-{recording_id}/track" for recording_id in listed])
    await store.apply([_seen(recording_id, now) for recording_id in listed])
    await store.unlisted(UnlistedQuery(app=APP, now=now))
    late = dict.fromkeys((Status.INVOKED, Status.UPLOADING), now - 600.0)
    overdue = OverdueQuery(app=APP, now=now, changed_before=late, first_seen_before=late)
    await store.schedule_overdue(overdue)
    await store.overdue(overdue)


async def _due(place: Place, repetition: int) -> None:
    now = place.store.now()
    query = DueQuery(app=APP, now=now, swept_at=now - 60, max_single_reads=9, limit=20)
    await place.store.due(query)
    await place.store.due_stops(DueStopsQuery(app=APP, now=now, limit=9))


async def _late_list(place: Place, repetition: int) -> None:
    """A page of the list that has only recordings of the past."""
    seen = [_seen_again(place, repetition * LISTED + number) for number in range(LISTED)]
    await place.store.tracked([one.snapshot.recording_id for one in seen])
    await place.store.apply(seen)


def _seen_again(place: Place, repetition: int) -> Observation:
    recording_id, meeting_id = (place.past(what, repetition) for what in ("recording", "meeting"))
    now = place.store.now()
    return _seen(recording_id, now, Status.UPLOADED, meeting_id=meeting_id)


async def _webhook(place: Place, repetition: int) -> None:
    seen = _seen_again(place, repetition)
    webhook = msgspec.structs.replace(seen, observed_by="webhook")
    await place.store.apply_webhook(WebhookObservation(observation=webhook))


async def _relay(place: Place, repetition: int) -> None:
    waiting = await place.store.unsent(500)
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


# Pruning


async def _prune_recordings(place: Place, repetition: int) -> None:
    request = PruneRequest(before=place.prune_before(repetition))
    _expect((await place.store.prune_recordings(request)).removed)


async def _prune_commands(place: Place, repetition: int) -> None:
    request = PruneRequest(before=place.prune_before(repetition))
    _expect((await place.store.prune_commands(request)).removed)


async def _prune_sent(place: Place, repetition: int) -> None:
    first = place.history.first_with_events
    await place.store.prune_sent(
        PruneSentRequest(before=place.history.ended_at(first + 100 * repetition + 100))
    )


async def _bring_back(place: Place, repetition: int) -> None:
    await place.store.bring_back_times(Repair(now=place.store.now(), read_ahead=86_400.0))


# The command line and the console


def _by_hand(read: Callable[[Place, int], object]) -> Run:
    """In a thread, as the console does, so that what is slow here delays nothing else."""

    async def run(place: Place, repetition: int) -> object:
        return await asyncio.to_thread(read, place, repetition)

    return run


def _list(**filters: object) -> Run:
    condition = RecordingsFilter(**filters)  # type: ignore[arg-type]
    return _by_hand(lambda place, repetition: read_recordings(place.url, condition))


def _list_of(what: str) -> Run:
    def read(place: Place, repetition: int) -> object:
        named: dict[str, Any] = {f"{what}_id": place.past(what, repetition)}
        condition = RecordingsFilter(**named)
        found = read_recordings(place.url, condition)
        _expect(len(found) == 1)
        return found

    return _by_hand(read)


def _list_between(place: Place, repetition: int) -> object:
    middle = place.history.ended_at(place.number(repetition))
    return read_recordings(place.url, RecordingsFilter(after=middle - 3600, before=middle, app=APP))


def _whole_ids(what: IdKind) -> Run:
    names: dict[IdKind, str] = {"recording": "recording", "command": "start", "meeting": "meeting"}

    def read(place: Place, repetition: int) -> object:
        text = place.past(names[what], repetition)
        found = find_whole_ids(place.url, f"{text[:8]}…", [what])
        _expect(text in found)
        return found

    return _by_hand(read)


def _outcomes(**filters: object) -> Run:
    condition = PastCommandsFilter(**filters)  # type: ignore[arg-type]
    return _by_hand(lambda place, repetition: read_past_commands(place.url, condition))


def _summary_of(hours: float) -> Run:
    def read(place: Place, repetition: int) -> object:
        since = place.history.until - hours * 3600
        return summarize_past_commands(place.url, PastCommandsFilter(since=since))

    return _by_hand(read)


def _entries(**filters: object) -> Run:
    condition = EntriesFilter(**filters)  # type: ignore[arg-type]
    return _by_hand(lambda place, repetition: read_entries(place.url, condition))


def _copies(place: Place, repetition: int) -> object:
    return next(each_stored(place.url, CopiesFilter()))


def _recent_copies(place: Place, repetition: int) -> object:
    """All copies of the last minutes, as a check after an incident asks for them."""
    return list(each_stored(place.url, CopiesFilter(since=place.history.until - 600)))


def _console(query: Callable[..., object], **arguments: object) -> Run:
    return _by_hand(lambda place, repetition: place.reader.read(query, **arguments))


def _page(place: Place, repetition: int) -> object:
    number = place.number(repetition)
    after = PagePlace(place.history.ended_at(number), place.history.id_of("recording", number))
    return place.reader.read(read_page, statuses=list(Status), after=after)


def _page_of_app(place: Place, repetition: int) -> object:
    return place.reader.read(read_page, statuses=[Status.ERRORED], app=APP)


def _commands_page(place: Place, repetition: int) -> object:
    number = place.number(repetition)
    after = CommandPlace(place.history.ended_at(number), place.history.id_of("start", number))
    return place.reader.read(read_commands_page, PastCommandsFilter(limit=50), after)


def _failed_commands(place: Place, repetition: int) -> object:
    condition = PastCommandsFilter(limit=50, outcomes=("failed",))
    return place.reader.read(read_commands_page, condition)


def _day(place: Place, repetition: int) -> object:
    until = place.history.until
    return place.reader.read(summarise, since=until - 86_400, until=until, slots=48)


def _search_for(text: Callable[[Place, int], str]) -> Run:
    return _by_hand(lambda place, repetition: place.reader.read(search, text(place, repetition)))


def _details(place: Place, repetition: int) -> object:
    wanted = place.past("recording", repetition)
    place.reader.read(read_recording_archive, wanted)
    return place.reader.read(find_details, wanted, max_events=200)


def _of_meeting(place: Place, repetition: int) -> object:
    wanted = place.past("meeting", repetition)
    return place.reader.read(find_starts_of_meeting, wanted)


_COMMANDS: Final[dict[str, Run]] = {
    "a start, from its claim to its outcome": _start,
    "100 starts at once": _starts,
    "a repeated start of history": _repeated_start,
    "a stop by the start's id, of history": _stop_by("start"),
    "a stop by the recording's id, of history": _stop_by("recording"),
    "a stop by the meeting's id, of history": _stop_by("meeting"),
    "the events of a recording, for a replay": _replay,
}
_FOLLOWING: Final[dict[str, Run]] = {
    "a sweep with a page of 100 of 1,000 live ones": _sweep,
    "a page of the list with 100 of history": _late_list,
    "the reads and stops that are due": _due,
    "a webhook about a recording of history": _webhook,
    "a page of the relay": _relay,
    "the gauges of the metrics": _metrics,
}
_PRUNING: Final[dict[str, Run]] = {
    "100 recordings with their files": _prune_recordings,
    "500 commands": _prune_commands,
    "500 events": _prune_sent,
    "times that are ahead": _bring_back,
}
_COMMAND_LINE: Final[dict[str, Run]] = {
    "status": _by_hand(lambda place, _: read_overview(place.url)),
    "recordings": _list(),
    "recordings --status ERRORED": _list(status=Status.ERRORED),
    "recordings --status PAUSED": _list(status=Status.PAUSED),
    "recordings --app": _list(app=APP),
    "recordings --app, of none": _list(app="nobody"),
    "recordings --sort unchanged": _list(sort="unchanged"),
    "recordings --sort age": _list(sort="age"),
    "recordings of an hour, by app": _by_hand(_list_between),
    "recordings --meeting-id": _list_of("meeting"),
    "recordings --recording-id": _list_of("recording"),
    "recordings --start-id": _list_of("start"),
    "a short id of a recording": _whole_ids("recording"),
    "a short id of a command": _whole_ids("command"),
    "a short id of a meeting": _whole_ids("meeting"),
    "recordings show": _by_hand(
        lambda place, n: read_details(place.url, place.past("recording", n), max_events=200)
    ),
    "outcomes": _outcomes(),
    "outcomes --code, of which there is none": _outcomes(codes=("no_such_code",)),
    "outcomes --summary, of an hour": _summary_of(1),
    "outcomes --summary, of everything": _summary_of(10_000),
    "archive list": _entries(),
    "archive list --state archived": _entries(state="archived"),
    "archive list --state external": _entries(state="external"),
    "archive list --app, of none": _entries(app="nobody"),
    "archive list --recording-id": _by_hand(
        lambda place, n: read_entries(
            place.url, EntriesFilter(recording_id=place.past("recording", n, life=2))
        )
    ),
    "archive retry --failed": _by_hand(lambda place, _: read_failed_recordings(place.url)),
    "archive verify, its first page": _by_hand(_copies),
    "archive verify --since, of ten minutes": _by_hand(_recent_copies),
    "store set-aside": _by_hand(lambda place, _: read_set_aside(place.url, 100)),
}
_CONSOLE: Final[dict[str, Run]] = {
    "what goes on now": _console(read_now),
    "recordings, a page of the past": _by_hand(_page),
    "recordings that failed, of an app": _by_hand(_page_of_app),
    "a recording, its events and its archive": _by_hand(_details),
    "commands, a page of the past": _by_hand(_commands_page),
    "commands that failed": _by_hand(_failed_commands),
    "commands of a day, summary": _by_hand(_day),
    "commands that have not ended": _console(read_unfinished),
    "starts of a meeting": _by_hand(_of_meeting),
    "the archive": _console(read_archive),
    "search: a recording": _search_for(lambda place, n: place.past("recording", n)),
    "search: the beginning of a recording's id": _search_for(
        lambda place, n: place.past("recording", n)[:8]
    ),
    "search: a command": _search_for(lambda place, n: place.past("stop", n, life=1)),
    "search: the beginning of a meeting's id": _search_for(
        lambda place, n: place.past("meeting", n)[:8]
    ),
    "search: a session, which has no index": _search_for(lambda place, n: place.past("session", n)),
    "search: an unknown id": _search_for(lambda _, n: f"nothing-has-this-id-{n}"),
}

OPERATIONS: Final = tuple(
    Operation(name=name, group=group, run=run)
    for group, runs in (
        ("Commands", _COMMANDS),
        ("Following and publishing", _FOLLOWING),
        ("Command line", _COMMAND_LINE),
        ("Console", _CONSOLE),
        ("Pruning", _PRUNING),  # last, because it removes rows
    )
    for name, run in runs.items()
)
