"""From the API's answers about sessions, participants and webhooks to values."""

from typing import Any

import msgspec

from worker.domain.snapshot import Participant
from worker.realtimekit.decoding.fields import (
    Paging,
    Unreadable,
    decoded,
    is_last,
    text,
    time,
    whole,
)
from worker.realtimekit.models import Session, Sessions, Webhook


class _Session(msgspec.Struct):
    id: Any = None
    associated_id: Any = None
    status: Any = None
    started_at: Any = None
    ended_at: Any = None
    live_participants: Any = None
    session: "_Session | None" = None


class _Participant(msgspec.Struct):
    id: Any = None
    user_id: Any = None
    custom_participant_id: Any = None
    participant: "_Participant | None" = None


class _Webhook(msgspec.Struct):
    id: Any = None
    name: Any = None
    url: Any = None
    events: Any = None
    enabled: Any = None


class _OneSession(msgspec.Struct):
    data: _Session | None = None
    success: Any = None


class _SessionList(msgspec.Struct):
    sessions: list[_Session | None]


class _SessionPage(msgspec.Struct):
    data: _SessionList
    success: Any = None
    paging: Paging | None = None


class _OneParticipant(msgspec.Struct):
    data: _Participant | None = None
    success: Any = None


class _ParticipantList(msgspec.Struct):
    participants: list[_Participant | None]
    paging: Paging | None = None


class _ParticipantPage(msgspec.Struct):
    data: _ParticipantList
    success: Any = None
    paging: Paging | None = None


class _OneWebhook(msgspec.Struct):
    data: _Webhook | None = None
    success: Any = None


class _Webhooks(msgspec.Struct):
    data: list[_Webhook | None]
    success: Any = None


class _Names(msgspec.Struct):
    data: list[Any]
    success: Any = None


_ONE_SESSION = msgspec.json.Decoder(_OneSession)
_SESSION_PAGE = msgspec.json.Decoder(_SessionPage)
_ONE_PARTICIPANT = msgspec.json.Decoder(_OneParticipant)
_PARTICIPANT_PAGE = msgspec.json.Decoder(_ParticipantPage)
_ONE_WEBHOOK = msgspec.json.Decoder(_OneWebhook)
_WEBHOOKS = msgspec.json.Decoder(_Webhooks)
_NAMES = msgspec.json.Decoder(_Names)


def read_session(body: bytes | bytearray) -> Session:
    """The session in `data`; `Unreadable` without an id."""
    answer = decoded(body, _ONE_SESSION)
    session = _session(answer.data)
    if answer.success is False or session is None:
        raise Unreadable("the answer holds no session with an id")
    return session


def read_sessions(body: bytes | bytearray, *, per_page: int | None = None) -> Sessions:
    """One page of sessions; rows without an id are left out."""
    answer = decoded(body, _SESSION_PAGE)
    if answer.success is False:
        raise Unreadable("the answer holds no list of sessions")
    rows = answer.data.sessions
    return Sessions(
        sessions=tuple(session for row in rows if (session := _session(row))),
        total_count=whole(answer.paging.total_count) if answer.paging else None,
        last=is_last(answer.paging, len(rows), per_page),
    )


def read_participant(body: bytes | bytearray) -> Participant:
    """The participant in `data.participant` or `data`; `Unreadable` without an id."""
    answer = decoded(body, _ONE_PARTICIPANT)
    participant = _participant(answer.data)
    if answer.success is False or participant is None:
        raise Unreadable("the answer holds no participant with an id")
    return participant


def read_participants(
    body: bytes | bytearray, *, per_page: int
) -> tuple[tuple[Participant, ...], bool]:
    """One page of participants, rows without an id left out, and whether it is the last one."""
    answer = decoded(body, _PARTICIPANT_PAGE)
    if answer.success is False:
        raise Unreadable("the answer holds no list of participants")
    rows = answer.data.participants
    found = tuple(participant for row in rows if (participant := _participant(row)))
    return found, is_last(answer.paging or answer.data.paging, len(rows), per_page)


def read_webhook(body: bytes | bytearray) -> Webhook:
    """The webhook in `data`; `Unreadable` without an id and a URL."""
    answer = decoded(body, _ONE_WEBHOOK)
    webhook = _webhook(answer.data)
    if answer.success is False or webhook is None:
        raise Unreadable("the answer holds no webhook with an id and a URL")
    return webhook


def read_webhooks(body: bytes | bytearray) -> tuple[Webhook, ...]:
    """All webhooks; rows without an id or a URL are left out."""
    answer = decoded(body, _WEBHOOKS)
    if answer.success is False:
        raise Unreadable("the answer holds no list of webhooks")
    return tuple(webhook for row in answer.data if (webhook := _webhook(row)))


def read_nothing(_body: bytes | bytearray) -> None:
    """The answer tells nothing that is used."""


def read_names(body: bytes | bytearray) -> tuple[str, ...]:
    """The strings of a plain list."""
    answer = decoded(body, _NAMES)
    if answer.success is False:
        raise Unreadable("the answer holds no list of names")
    return tuple(name for name in answer.data if isinstance(name, str))


def _session(row: _Session | None) -> Session | None:
    row = row.session or row if row else None
    session_id = text(row.id) if row else None
    if row is None or session_id is None:
        return None
    return Session(
        session_id=session_id,
        meeting_id=text(row.associated_id),
        status=text(row.status),
        started_at=time(row.started_at),
        ended_at=time(row.ended_at),
        live_participants=whole(row.live_participants),
    )


def _participant(row: _Participant | None) -> Participant | None:
    row = row.participant or row if row else None
    peer_id = text(row.id) if row else None
    if row is None or peer_id is None:
        return None
    return Participant(
        peer_id=peer_id,
        user_id=text(row.user_id),
        custom_participant_id=text(row.custom_participant_id),
    )


def _webhook(row: _Webhook | None) -> Webhook | None:
    webhook_id, url = (text(row.id), text(row.url)) if row else (None, None)
    if row is None or webhook_id is None or url is None:
        return None
    events = row.events if isinstance(row.events, list) else []
    return Webhook(
        webhook_id=webhook_id,
        url=url,
        name=text(row.name),
        events=tuple(event for event in events if isinstance(event, str)),
        enabled=row.enabled if isinstance(row.enabled, bool) else None,
    )
