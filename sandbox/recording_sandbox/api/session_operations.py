"""The operations on sessions and on the participants that were in them."""

from collections.abc import Callable

from multidict import MultiMapping

from recording_sandbox.api import responses, validation
from recording_sandbox.api.call import Call, Reply, page
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import NotFound
from recording_sandbox.model.meeting import Presence, Session
from recording_sandbox.model.meetings import Meetings

MAX_PARTICIPANTS_PER_PAGE = 200

_PRESENCE_SORT_KEYS = ("joinedAt", "duration")
_LIST_PARAMETERS = (
    "associated_id",
    "page_no",
    "per_page",
    "sort_by",
    "sort_order",
    "start_time",
    "end_time",
    "participants",
    "status",
    "search",
)


class SessionOperations:
    """Handlers of the paths below `/sessions`, and of a meeting's active session."""

    def __init__(self, clock: Clock, behaviour: Behaviour, meetings: Meetings) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings = meetings

    def active(self, call: Call) -> Reply:
        """GET /meetings/{meeting_id}/active-session."""
        meeting = self._meetings.get(validation.uuid("meeting_id", call.path["meeting_id"]))
        if meeting.session is None:
            raise NotFound("active session")
        return Reply(data=self._response(meeting.session))

    def list_sessions(self, call: Call) -> Reply:
        """GET /sessions."""
        query = call.query
        validation.only(query, _LIST_PARAMETERS)
        sessions = self._filtered(query)
        sessions.sort(key=self._sort_key(query.get("sort_by", "createdAt")))
        if _is_descending(query.get("sort_order", "DESC")):
            sessions.reverse()
        offset, length = page(query, self._behaviour)
        items = [self._response(session) for session in sessions[offset : offset + length]]
        paging = responses.paging(len(sessions), offset, items)
        return Reply(data={"sessions": items}, extra={"paging": paging})

    def get(self, call: Call) -> Reply:
        """GET /sessions/{session_id}."""
        return Reply(data=self._response(self._find(call)))

    def participants(self, call: Call) -> Reply:
        """GET /sessions/{session_id}/participants: a row for each stay, or for each person."""
        query, session = call.query, self._find(call)
        rows = self._presences(session, query)
        key = validation.one_of("sort_by", query.get("sort_by", "joinedAt"), _PRESENCE_SORT_KEYS)
        rows.sort(key=lambda row: row.joined_at if key == "joinedAt" else self._duration(row))
        if _is_descending(query.get("sort_order", "ASC")):
            rows.reverse()
        offset, length = page(query, self._behaviour, max_length=MAX_PARTICIPANTS_PER_PAGE)
        page_rows = rows[offset : offset + length]
        items = [self._presence_response(call, row, session) for row in page_rows]
        paging = responses.paging(len(rows), offset, items)
        return Reply(data={"participants": items, "paging": paging})

    def participant(self, call: Call) -> Reply:
        """GET /sessions/{session_id}/participants/{participant_id}, by peer id or user id."""
        session, participant_id = self._find(call), call.path["participant_id"]
        for row in reversed(session.presences):
            if participant_id in (row.peer_id, row.participant.id):
                return Reply(data={"participant": self._presence_response(call, row, session)})
        raise NotFound("participant")

    def _filtered(self, query: MultiMapping[str]) -> list[Session]:
        sessions = self._candidates(query.get("associated_id"))
        if status := query.get("status"):
            live = validation.one_of("status", status, ("LIVE", "ENDED")) == "LIVE"
            sessions = [session for session in sessions if (session.ended_at is None) == live]
        if start := query.get("start_time"):
            first = validation.timestamp("start_time", start)
            sessions = [session for session in sessions if session.started_at >= first]
        if end := query.get("end_time"):
            last = validation.timestamp("end_time", end)
            sessions = [session for session in sessions if session.started_at <= last]
        if text := query.get("search"):
            sessions = [session for session in sessions if _matches(session, text)]
        return sessions

    def _candidates(self, meeting_id: str | None) -> list[Session]:
        if meeting_id is None:
            return self._meetings.sessions()
        meeting = self._meetings.find(validation.uuid("associated_id", meeting_id))
        return list(meeting.sessions) if meeting else []

    def _presences(self, session: Session, query: MultiMapping[str]) -> list[Presence]:
        rows = list(session.presences)
        view = validation.one_of("view", query.get("view", "raw"), ("raw", "consolidated"))
        if view == "consolidated":
            rows = list({row.participant.id: row for row in reversed(rows)}.values())
        if text := query.get("search"):
            rows = [row for row in rows if text.lower() in _searchable(row)]
        return rows

    def _find(self, call: Call) -> Session:
        session = self._meetings.session(validation.uuid("session_id", call.path["session_id"]))
        call.meeting_id = session.meeting_id
        return session

    def _response(self, session: Session) -> dict[str, object]:
        return responses.session(session, now=self._clock.now())

    def _presence_response(self, call: Call, row: Presence, session: Session) -> dict[str, object]:
        events = validation.flag(
            "include_peer_events", call.query.get("include_peer_events", "false")
        )
        return responses.presence(row, session, now=self._clock.now(), events=events)

    def _duration(self, row: Presence) -> float:
        return (row.left_at or self._clock.now()) - row.joined_at

    def _sort_key(self, name: str) -> Callable[[Session], float]:
        validation.one_of("sort_by", name, ("minutesConsumed", "createdAt"))
        if name == "createdAt":
            return lambda session: session.started_at
        return lambda session: responses.minutes(session, session.ended_at or self._clock.now())


def _matches(session: Session, text: str) -> bool:
    return text in (session.id, session.meeting_id) or text.lower() in session.title.lower()


def _searchable(row: Presence) -> str:
    person = row.participant
    return f"{person.id} {person.custom_participant_id} {person.name} {row.peer_id}".lower()


def _is_descending(order: str) -> bool:
    return validation.one_of("sort_order", order, ("ASC", "DESC")) == "DESC"
