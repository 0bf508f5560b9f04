"""The queries of the command line."""

from typing import Any, Final

from benchmarks.history.places import (
    APP,
    Place,
    Run,
    by_hand,
    expect,
)
from recording_schemas import Status
from worker.store.admin.archived_files import (
    EntriesFilter,
    find_entries,
    find_failed_recordings,
)
from worker.store.admin.overview import read_overview
from worker.store.admin.past_commands import (
    PastCommandsFilter,
    find_past_commands,
    summarize_past_commands,
)
from worker.store.admin.recording_details import find_details
from worker.store.admin.short_ids import IdKind, find_whole_ids
from worker.store.admin.stored_copies import CopiesFilter, each_stored
from worker.store.outbox_marks import set_aside_events
from worker.store.queries import RecordingsFilter, find_recordings


def _list(**filters: object) -> Run:
    condition = RecordingsFilter(**filters)  # type: ignore[arg-type]
    return by_hand(lambda place, repetition: place.read(find_recordings, condition))


def _list_of(kind: str) -> Run:
    def read(place: Place, repetition: int) -> object:
        named: dict[str, Any] = {f"{kind}_id": place.past(kind, repetition)}
        condition = RecordingsFilter(**named)
        found = place.read(find_recordings, condition)
        expect(len(found) == 1)
        return found

    return by_hand(read)


def _list_between(place: Place, repetition: int) -> object:
    middle = place.history.ended_at(place.number(repetition))
    return place.read(
        find_recordings, RecordingsFilter(after=middle - 3600, before=middle, app=APP)
    )


def _whole_ids(kind: IdKind) -> Run:
    names: dict[IdKind, str] = {"recording": "recording", "command": "start", "meeting": "meeting"}

    def read(place: Place, repetition: int) -> object:
        text = place.past(names[kind], repetition)
        found = place.read(find_whole_ids, f"{text[:8]}…", [kind])
        expect(text in found)
        return found

    return by_hand(read)


def _outcomes(**filters: object) -> Run:
    condition = PastCommandsFilter(**filters)  # type: ignore[arg-type]
    return by_hand(lambda place, repetition: place.read(find_past_commands, condition))


def _summary_of(hours: float) -> Run:
    def read(place: Place, repetition: int) -> object:
        since = place.history.until - hours * 3600
        return place.read(summarize_past_commands, PastCommandsFilter(since=since))

    return by_hand(read)


def _entries(**filters: object) -> Run:
    condition = EntriesFilter(**filters)  # type: ignore[arg-type]
    return by_hand(lambda place, repetition: place.read(find_entries, condition))


def _copies(place: Place, repetition: int) -> object:
    return next(each_stored(place.url, CopiesFilter()))


def _recent_copies(place: Place, repetition: int) -> object:
    """All copies of the last minutes, for a check after an incident."""
    return list(each_stored(place.url, CopiesFilter(since=place.history.until - 600)))


COMMAND_LINE: Final[dict[str, Run]] = {
    "status": by_hand(lambda place, _: place.read(read_overview)),
    "recordings": _list(),
    "recordings --status ERRORED": _list(status=Status.ERRORED),
    "recordings --status PAUSED": _list(status=Status.PAUSED),
    "recordings --app": _list(app=APP),
    "recordings --app, of none": _list(app="nobody"),
    "recordings --sort unchanged": _list(sort="unchanged"),
    "recordings --sort age": _list(sort="age"),
    "recordings of an hour, by app": by_hand(_list_between),
    "recordings --meeting-id": _list_of("meeting"),
    "recordings --recording-id": _list_of("recording"),
    "recordings --start-id": _list_of("start"),
    "a short id of a recording": _whole_ids("recording"),
    "a short id of a command": _whole_ids("command"),
    "a short id of a meeting": _whole_ids("meeting"),
    "recordings show": by_hand(
        lambda place, n: place.read(find_details, place.past("recording", n), max_events=200)
    ),
    "outcomes": _outcomes(),
    "outcomes --code, of which there is none": _outcomes(codes=("no_such_code",)),
    "outcomes --summary, of an hour": _summary_of(1),
    "outcomes --summary, of everything": _summary_of(10_000),
    "archive list": _entries(),
    "archive list --state archived": _entries(state="archived"),
    "archive list --state external": _entries(state="external"),
    "archive list --app, of none": _entries(app="nobody"),
    "archive list --recording-id": by_hand(
        lambda place, n: place.read(
            find_entries, EntriesFilter(recording_id=place.past("recording", n, life=2))
        )
    ),
    "archive retry --failed": by_hand(lambda place, _: place.read(find_failed_recordings)),
    "archive verify, its first page": by_hand(_copies),
    "archive verify --since, of ten minutes": by_hand(_recent_copies),
    "store set-aside": by_hand(lambda place, _: place.read(set_aside_events, 100)),
}
