"""Decodes responses about participants and webhook registrations."""

from typing import Any

import msgspec

from worker.domain.meeting_participants import MeetingParticipant
from worker.domain.snapshot import Participant
from worker.realtimekit.decoding.fields import (
    Unreadable,
    aware_time,
    bounded_id,
    bounded_text,
    decode,
    is_last_page,
    listed,
    non_negative_int,
    participant_id,
    read_paging,
    text,
)
from worker.realtimekit.models import ParticipantPage, StayPage, Webhook


class _Participant(msgspec.Struct):
    id: Any = None
    user_id: Any = None
    custom_participant_id: Any = None
    display_name: Any = None
    preset_name: Any = None
    joined_at: Any = None
    left_at: Any = None
    participant: "_Participant | None" = None


class _Webhook(msgspec.Struct):
    id: Any = None
    name: Any = None
    url: Any = None
    events: Any = None
    enabled: Any = None


class _ParticipantList(msgspec.Struct):
    participants: list[_Participant | None] | None
    paging: Any = None


class _ParticipantsEnvelope(msgspec.Struct):
    data: _ParticipantList
    success: Any = None
    paging: Any = None


class _AnyRows(msgspec.Struct):
    participants: list[Any] | None
    paging: Any = None


class _MeetingParticipantsEnvelope(msgspec.Struct):
    data: list[Any] | _AnyRows | None
    success: Any = None
    paging: Any = None


class _WebhookEnvelope(msgspec.Struct):
    data: _Webhook | None = None
    success: Any = None


class _WebhooksEnvelope(msgspec.Struct):
    data: list[_Webhook | None]
    success: Any = None


_PARTICIPANTS = msgspec.json.Decoder(_ParticipantsEnvelope)
_MEETING_PARTICIPANTS = msgspec.json.Decoder(_MeetingParticipantsEnvelope)
_WEBHOOK = msgspec.json.Decoder(_WebhookEnvelope)
_WEBHOOKS = msgspec.json.Decoder(_WebhooksEnvelope)


def decode_participants(
    body: bytes | bytearray, per_page: int | None, *, page_no: int = 1
) -> StayPage:
    """One page of participants without rows that lack an id. Raises `Unreadable` without a list."""
    envelope = decode(body, _PARTICIPANTS)
    if envelope.success is False:
        raise Unreadable("the body has no list of participants")
    paging = read_paging(envelope.paging) or read_paging(envelope.data.paging)
    rows = listed(envelope.data.participants, paging, page_no=page_no, what="participants")
    return StayPage(
        participants=tuple(participant for row in rows if (participant := _participant(row))),
        is_last=is_last_page(paging, len(rows), per_page),
        is_counted=paging is not None and non_negative_int(paging.total_count) is not None,
    )


def decode_meeting_participants(body: bytes | bytearray, *, page_no: int = 1) -> ParticipantPage:
    """One page of the people who may join a meeting, from `data` or `data.participants`.

    Rows without a usable id are counted and left out, because one bad row must not prevent every
    start in the meeting. Raises `Unreadable` without a list.
    """
    envelope = decode(body, _MEETING_PARTICIPANTS)
    if envelope.success is False:
        raise Unreadable("the body has no list of participants")
    data = envelope.data
    found, inner_paging = (
        (data.participants, data.paging) if isinstance(data, _AnyRows) else (data, None)
    )
    paging = read_paging(envelope.paging) or read_paging(inner_paging)
    rows = listed(found, paging, page_no=page_no, what="participants")
    readable = tuple(person for row in rows if (person := _meeting_participant(row)))
    return ParticipantPage(
        participants=readable,
        unreadable_count=len(rows) - len(readable),
        total_count=non_negative_int(paging.total_count) if paging else None,
        # Without `paging`, a short page may be one that the API cut. Then only an empty page ends.
        is_last=is_last_page(paging, len(rows), per_page=0),
    )


def decode_webhook(body: bytes | bytearray) -> Webhook:
    """The webhook in `data`. Raises `Unreadable` without an id and a URL."""
    envelope = decode(body, _WEBHOOK)
    webhook = _webhook(envelope.data)
    if envelope.success is False or webhook is None:
        raise Unreadable("the body has no webhook with an id and a URL")
    return webhook


def decode_webhooks(body: bytes | bytearray) -> tuple[Webhook, ...]:
    """All webhooks without rows that lack an id or a URL. Raises `Unreadable` without a list."""
    envelope = decode(body, _WEBHOOKS)
    if envelope.success is False:
        raise Unreadable("the body has no list of webhooks")
    return tuple(webhook for row in envelope.data if (webhook := _webhook(row)))


def ignore_body(_body: bytes | bytearray) -> None:
    """Decode a body that is not used."""


def _participant(row: _Participant | None) -> Participant | None:
    row = row.participant or row if row else None
    peer_id = bounded_id(row.id) if row else None
    if row is None or peer_id is None:
        return None
    return Participant(
        peer_id=peer_id,
        user_id=bounded_id(row.user_id),
        custom_participant_id=bounded_id(row.custom_participant_id),
        display_name=bounded_text(row.display_name),
        preset_name=bounded_text(row.preset_name),
        joined_at=aware_time(row.joined_at),
        left_at=aware_time(row.left_at),
    )


def _meeting_participant(row: object) -> MeetingParticipant | None:
    if not isinstance(row, dict) or (user_id := participant_id(row.get("id"))) is None:
        return None
    custom_id = participant_id(row.get("custom_participant_id"))
    return MeetingParticipant(user_id=user_id, custom_participant_id=custom_id)


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
