"""The routes that read: each answers with JSON."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec
from aiohttp import web

from recording_schemas import COMMAND_TYPES
from worker.cli.outcomes import OUTCOMES
from worker.cli.times import iso_time
from worker.console import queries, views
from worker.console.archive_verdicts import archive_verdicts
from worker.console.shared_reads import SharedReads
from worker.console.state import ConsoleState
from worker.console.verdicts import command_verdict, recording_verdicts
from worker.domain.errors import StoreUnavailable
from worker.store.admin.archive_pages import read_archive, read_recording_archive
from worker.store.admin.command_pages import (
    find_parked_command,
    find_starts_of_meeting,
    read_commands_page,
    read_unfinished,
    summarize_commands,
)
from worker.store.admin.past_commands import CommandCursor, PastCommandsFilter, find_command
from worker.store.admin.recording_details import RecordingDetails, find_details
from worker.store.admin.recording_pages import PageCursor, read_page
from worker.store.admin.search import MIN_PREFIX_LENGTH, search
from worker.store.queries import RecordingsFilter, find_recordings

Answer = Callable[[web.Request], Awaitable[Any]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PAGE_ROWS: Final = 50
MAX_EVENTS: Final = 500
MAX_OF_MEETING: Final = 100
SUMMARY_SLOTS: Final = 48
MAX_SUMMARY_HOURS: Final = 24 * 30


class ReadRoutes:
    """Answers about recordings, commands and ids, from the state."""

    def __init__(self, state: ConsoleState) -> None:
        self._state = state
        self._summaries = SharedReads[views.Json]()

    def routes(self) -> Iterator[web.RouteDef]:
        """All of them."""
        yield web.get("/api/recordings", json_of(self._recordings))
        yield web.get("/api/recordings/{id}", json_of(self._recording))
        yield web.get("/api/meetings/{id}", json_of(self._meeting))
        yield web.get("/api/commands", json_of(self._commands))
        yield web.get("/api/commands/summary", json_of(self._summary))
        yield web.get("/api/commands/unfinished", json_of(self._unfinished))
        yield web.get("/api/command/{id}", json_of(self._command))
        yield web.get("/api/archive", json_of(self._archive))
        yield web.get("/api/search", json_of(self._search))

    async def _recordings(self, request: web.Request) -> Any:  # noqa: ANN401
        page = await self._state.read(
            read_page,
            statuses=queries.statuses(request),
            app=queries.text(request, "app"),
            after=queries.cursor(request, PageCursor),
            limit=queries.whole(request, "limit", default=PAGE_ROWS, low=1, high=200),
        )
        rows = [views.recording_row(recording) for recording in page.recordings]
        return {"recordings": rows, "next": _cursor_text(page.next)}

    async def _recording(self, request: web.Request) -> Any:  # noqa: ANN401
        wanted_id = queries.path_id(request)
        found = await self._state.read(find_details, wanted_id, max_events=MAX_EVENTS)
        if not found.recordings:
            raise web.HTTPNotFound(reason="no recording has this id")
        return {
            "recordings": [
                {**views.details_view(details), **await self._judged(details)}
                for details in found.recordings
            ]
        }

    async def _judged(self, details: RecordingDetails) -> views.Json:
        """The sentences about a recording, problems with its archive first, and that archive."""
        recording_id = details.recording.recording_id
        files, manifest = await self._state.read(read_recording_archive, recording_id)
        return {
            "verdicts": recording_verdicts(details, archive_verdicts(files, manifest)),
            "archive": views.recording_archive_json(files, manifest),
        }

    async def _archive(self, _request: web.Request) -> Any:  # noqa: ANN401
        return views.archive_json(await self._state.read(read_archive))

    async def _meeting(self, request: web.Request) -> Any:  # noqa: ANN401
        meeting_id = queries.path_id(request)
        recordings = await self._state.read(
            find_recordings, RecordingsFilter(meeting_id=meeting_id, limit=MAX_OF_MEETING)
        )
        starts = await self._state.read(find_starts_of_meeting, meeting_id)
        details = [
            found
            for recording in recordings[:10]
            for found in (
                await self._state.read(find_details, recording.recording_id, max_events=MAX_EVENTS)
            ).recordings
        ]
        return {
            "meeting_id": meeting_id,
            "recordings": [views.recording_row(recording) for recording in recordings],
            "verdicts": {
                found.recording.recording_id: (await self._judged(found))["verdicts"]
                for found in details
            },
            "starts": [
                {
                    **views.command_row(start),
                    "verdict": command_verdict(
                        start, await self._state.read(find_parked_command, start.command_id)
                    ),
                }
                for start in starts[:MAX_OF_MEETING]
            ],
        }

    async def _commands(self, request: web.Request) -> Any:  # noqa: ANN401
        outcome = queries.choice(request, "outcome", OUTCOMES)
        code = queries.text(request, "code")
        command_type = queries.choice(request, "type", [*COMMAND_TYPES, "unknown"])
        condition = PastCommandsFilter(
            limit=queries.whole(request, "limit", default=PAGE_ROWS, low=1, high=200),
            types=(command_type,) if command_type else (),
            outcomes=(outcome,) if outcome else (),
            codes=(code,) if code else (),
            app=queries.text(request, "app"),
        )
        page = await self._state.read(
            read_commands_page, condition, queries.cursor(request, CommandCursor)
        )
        rows = [views.command_row(command) for command in page.commands]
        return {"commands": rows, "next": _cursor_text(page.next)}

    async def _summary(self, request: web.Request) -> Any:  # noqa: ANN401
        hours = queries.whole(request, "hours", default=24, low=1, high=MAX_SUMMARY_HOURS)
        return await self._summaries.get(hours, lambda: self._read_summary(hours))

    async def _read_summary(self, hours: int) -> views.Json:
        now = time.time()
        summary = await self._state.read(
            summarize_commands, since=now - hours * 3600, until=now, slots=SUMMARY_SLOTS
        )
        return views.summary_json(summary)

    async def _unfinished(self, _request: web.Request) -> Any:  # noqa: ANN401
        commands = await self._state.read(read_unfinished)
        return {"commands": [views.command_row(command) for command in commands]}

    async def _command(self, request: web.Request) -> Any:  # noqa: ANN401
        command_id = queries.path_id(request)
        command = await self._state.read(find_command, command_id)
        if command is None:
            raise web.HTTPNotFound(reason="no command has this id")
        parked = await self._state.read(find_parked_command, command_id)
        found = await self._state.read(find_details, command_id, max_events=MAX_EVENTS)
        recordings = list(found.recordings)
        for recording_id in (command.data or {}).get("recording_ids", ())[:10]:
            if all(known.recording.recording_id != recording_id for known in recordings):
                more = await self._state.read(find_details, recording_id, max_events=MAX_EVENTS)
                recordings += more.recordings
        return {
            **views.command_row(command),
            "verdict": command_verdict(command, parked),
            "waiting": views.parked_json(parked),
            "recordings": [
                {
                    **views.recording_row(details.recording),
                    "verdicts": (await self._judged(details))["verdicts"],
                }
                for details in recordings
            ],
        }

    async def _search(self, request: web.Request) -> Any:  # noqa: ANN401
        query = queries.text(request, "q")
        if query is None:
            raise queries.wrong("q: is missing")
        found = await self._state.read(search, query)
        return {
            "q": query,
            "recordings": [views.recording_row(recording) for recording in found.recordings],
            "commands": [views.command_row(command) for command in found.commands],
            "meetings": found.meetings,
            "events": [
                {**msgspec.structs.asdict(event), "created_at": iso_time(event.created_at)}
                for event in found.events
            ],
            "looked_back_to": iso_time(found.looked_back_to),
            "has_more": found.has_more,
            "is_too_short": len(query) < MIN_PREFIX_LENGTH,
        }


def _cursor_text(cursor: PageCursor | CommandCursor | None) -> str | None:
    return None if cursor is None else msgspec.json.encode(cursor).decode()


def json_of(answer: Answer) -> Handler:
    """A handler that sends the answer as JSON, and a state that cannot be read as an error."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return json_response(await answer(request))
        except StoreUnavailable as error:
            return json_response({"error": str(error)}, status=503)

    return handle


def json_response(value: object, *, status: int = 200) -> web.Response:
    """JSON that no cache keeps."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
