"""From the API's answers about participants and webhooks to values."""

from typing import Any

import msgspec

from worker.domain.snapshot import Participant
from worker.realtimekit.decoding.fields import (
    Paging,
    Unreadable,
    decoded,
    is_last,
    text,
)
from worker.realtimekit.models import Webhook


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


_PARTICIPANT_PAGE = msgspec.json.Decoder(_ParticipantPage)
_ONE_WEBHOOK = msgspec.json.Decoder(_OneWebhook)
_WEBHOOKS = msgspec.json.Decoder(_Webhooks)


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
