"""Decodes the command of a delivery."""

from typing import Final

import msgspec

from recording_schemas import Command, decode_command, too_large
from worker.broker.messages import Delivery
from worker.domain.times import utc

PASSED: Final = utc(0.0)
"""The deadline of a command that the broker dead-lettered: it must not be executed any more."""


def decode_delivery(delivery: Delivery, *, max_bytes: int) -> Command:
    """The command. Its deadline has passed if the broker dead-lettered it. Raises Malformed."""
    if delivery.unread_bytes:
        raise too_large(
            delivery.unread_bytes,
            max_bytes,
            message_id=delivery.message_id,
            headers=delivery.headers,
        )
    command = decode_command(
        delivery.body,
        content_type=delivery.content_type,
        content_encoding=delivery.content_encoding,
        message_id=delivery.message_id,
        headers=delivery.headers,
        max_bytes=max_bytes,
    )
    if delivery.dead_reason is None:
        return command
    return msgspec.structs.replace(command, deadline=PASSED)
