"""The queries of the console."""

from collections.abc import Callable
from typing import Final

from benchmarks.history.places import (
    APP,
    Place,
    Run,
    by_hand,
)
from recording_schemas import Status
from worker.store.admin.archive_pages import read_archive, read_recording_archive
from worker.store.admin.command_pages import (
    find_starts_of_meeting,
    read_commands_page,
    read_unfinished,
    summarize_commands,
)
from worker.store.admin.live_now import read_now
from worker.store.admin.past_commands import (
    CommandCursor,
    PastCommandsFilter,
)
from worker.store.admin.recording_details import find_details
from worker.store.admin.recording_pages import PageCursor, read_page
from worker.store.admin.search import search


def _console(query: Callable[..., object], **arguments: object) -> Run:
    return by_hand(lambda place, repetition: place.reader.read(query, **arguments))


def _page(place: Place, repetition: int) -> object:
    number = place.number(repetition)
    after = PageCursor(place.history.ended_at(number), place.history.id_of("recording", number))
    return place.reader.read(read_page, statuses=list(Status), after=after)


def _page_of_app(place: Place, repetition: int) -> object:
    return place.reader.read(read_page, statuses=[Status.ERRORED], app=APP)


def _commands_page(place: Place, repetition: int) -> object:
    number = place.number(repetition)
    after = CommandCursor(place.history.ended_at(number), place.history.id_of("start", number))
    return place.reader.read(read_commands_page, PastCommandsFilter(limit=50), after)


def _failed_commands(place: Place, repetition: int) -> object:
    condition = PastCommandsFilter(limit=50, outcomes=("failed",))
    return place.reader.read(read_commands_page, condition)


def _day(place: Place, repetition: int) -> object:
    until = place.history.until
    return place.reader.read(summarize_commands, since=until - 86_400, until=until, slots=48)


def _search_for(text: Callable[[Place, int], str]) -> Run:
    return by_hand(lambda place, repetition: place.reader.read(search, text(place, repetition)))


def _details(place: Place, repetition: int) -> object:
    recording_id = place.past("recording", repetition)
    place.reader.read(read_recording_archive, recording_id)
    return place.reader.read(find_details, recording_id, max_events=200)


def _of_meeting(place: Place, repetition: int) -> object:
    meeting_id = place.past("meeting", repetition)
    return place.reader.read(find_starts_of_meeting, meeting_id)


CONSOLE: Final[dict[str, Run]] = {
    "what goes on now": _console(read_now),
    "recordings, a page of the past": by_hand(_page),
    "recordings that failed, of an app": by_hand(_page_of_app),
    "a recording, its events and its archive": by_hand(_details),
    "commands, a page of the past": by_hand(_commands_page),
    "commands that failed": by_hand(_failed_commands),
    "commands of a day, summary": by_hand(_day),
    "commands that have not ended": _console(read_unfinished),
    "starts of a meeting": by_hand(_of_meeting),
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
