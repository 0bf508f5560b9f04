"""Decodes responses about sessions."""

from typing import Any, Final

import msgspec

from worker.realtimekit.decoding.fields import (
    Unreadable,
    decode,
    is_another_uuid,
    is_last_page,
    listed,
    read_paging,
    text,
)
from worker.realtimekit.models import Session, SessionPage

ENDED: Final = "ENDED"


class _Session(msgspec.Struct):
    associated_id: Any = None
    meeting_id: Any = None
    status: Any = None
    ended_at: Any = None


class _SessionEnvelope(msgspec.Struct):
    data: _Session
    success: Any = None


class _SessionList(msgspec.Struct):
    sessions: list[_Session | None] | None
    paging: Any = None


class _SessionsEnvelope(msgspec.Struct):
    data: _SessionList
    success: Any = None
    paging: Any = None


_SESSION = msgspec.json.Decoder(_SessionEnvelope)
_SESSIONS = msgspec.json.Decoder(_SessionsEnvelope)


def decode_session(body: bytes | bytearray, *, meeting_id: str) -> Session:
    """The session in `data`. Raises `Unreadable` without one, and for one of another meeting."""
    envelope = decode(body, _SESSION)
    session = _session(envelope.data)
    if envelope.success is False or is_another_uuid(session.meeting_id, meeting_id):
        raise Unreadable("the body has no session of the meeting")
    return session


def decode_session_page(
    body: bytes | bytearray, per_page: int | None, *, page_no: int = 1
) -> SessionPage:
    """One page of sessions. Raises `Unreadable` without a list."""
    envelope = decode(body, _SESSIONS)
    if envelope.success is False:
        raise Unreadable("the body has no list of sessions")
    paging = read_paging(envelope.paging) or read_paging(envelope.data.paging)
    rows = listed(envelope.data.sessions, paging, page_no=page_no, what="sessions")
    return SessionPage(
        sessions=tuple(_session(row) for row in rows if row),
        is_last=is_last_page(paging, len(rows), per_page),
    )


def _session(row: _Session) -> Session:
    """A session is live unless the API says that it has ended, even in a list of live ones."""
    is_ended = (text(row.status) or "").upper() == ENDED or text(row.ended_at) is not None
    meeting_id = text(row.associated_id) or text(row.meeting_id)
    return Session(meeting_id=meeting_id, is_live=not is_ended)
