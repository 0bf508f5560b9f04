"""Turns the broker's confirmations into the results of the messages."""

import asyncio
from collections.abc import Sequence

from aio_pika.exceptions import (
    ChannelClosed,
    ConnectionClosed,
    DeliveryError,
    PublishError,
)

from worker.broker.aiormq.batch_publish import Confirmation
from worker.broker.aiormq.message_encoder import ENCODING_ERRORS
from worker.broker.aiormq.raw_channel import PERMISSION_ERRORS
from worker.broker.connection import CLOSED_MESSAGE, described
from worker.broker.messages import Outgoing
from worker.domain.errors import (
    BrokerUnavailable,
    ChannelLost,
    LostInFlight,
    MessageRefused,
    MessageUnsendable,
)

PublishResult = bool | BrokerUnavailable
"""True: the broker confirmed the message. False: it is mandatory, and no queue took it."""


async def wait_for_confirmations(confirmations: Sequence[Confirmation], timeout: float) -> bool:
    """Wait until all have arrived. False if none arrived for `timeout` seconds.

    Then the others are cancelled. Each confirmation that arrives restarts the time, because a
    broker that is slow with many messages is not silent.
    """
    waiting = arrived = set(confirmations)
    try:
        while waiting and arrived:
            arrived, waiting = await asyncio.wait(waiting, timeout=timeout)
    finally:
        late = [confirmation for confirmation in waiting if confirmation.cancel()]
    return not late


def publish_result(
    message: Outgoing, confirmation: Confirmation, late: BrokerUnavailable
) -> PublishResult:
    """The result of one message. A cancelled confirmation is late: its result is `late`."""
    if confirmation.cancelled():
        return late
    error = confirmation.exception()
    if error is None:
        return True
    if isinstance(error, ENCODING_ERRORS):
        return MessageUnsendable(described(error))
    if not isinstance(error, DeliveryError):
        lost = unavailable(error)
        return LostInFlight(str(lost)) if type(lost) is BrokerUnavailable else lost
    if message.mandatory:
        return False
    return MessageRefused(f"a queue of {message.exchange!r} is full or has no leader")


def is_refused(confirmation: Confirmation) -> bool:
    """Whether a queue refused the message: the queue is full or has no leader."""
    if confirmation.cancelled():
        return False
    error = confirmation.exception()
    return isinstance(error, DeliveryError) and not isinstance(error, PublishError)


def unavailable(error: BaseException) -> BrokerUnavailable:
    """The library's error as BrokerUnavailable, with the error as its cause."""
    # Calls that a closed channel ends raise one of these, without a text.
    is_closed = type(error) in {Exception, asyncio.CancelledError}
    text = CLOSED_MESSAGE if is_closed else described(error)
    converted = BrokerUnavailable(text)
    if is_closed_by_broker(error):
        converted = ChannelLost(text, is_permission=isinstance(error, PERMISSION_ERRORS))
    converted.__cause__ = error
    return converted


def is_closed_by_broker(error: BaseException) -> bool:
    """Whether the broker closed the channel or the connection because of a message.

    A broker that stops, or an operator who closes connections, sends a code without a class.
    """
    return isinstance(error, ChannelClosed | ConnectionClosed) and type(error) not in {
        ChannelClosed,
        ConnectionClosed,
    }
