"""Moves a delivery to the queue that its settlement names, before it is acknowledged."""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from worker.broker.message_copy import copy_of, rfc3339
from worker.broker.messages import (
    CALLED_AT_HEADER,
    FIRST_SEEN_HEADER,
    UNPARKED_HEADER,
    Ack,
    Dead,
    Delivery,
    Headers,
    Outgoing,
    Retry,
    Settlement,
)
from worker.broker.properties import USER_ID, identifier
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.domain.errors import ChannelLost, MessageRefused


class Settler:
    """Publishes the copies of deliveries that are retried or dead-lettered.

    `now` returns seconds since the epoch. `on_dead_letter_refused` is called each time that the
    dead-letter queue is full.
    """

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        *,
        now: Callable[[], float],
        on_dead_letter_refused: Callable[[], None],
    ) -> None:
        self._publisher = publisher
        self._topology = topology
        self._now = now
        self._on_dead_letter_refused = on_dead_letter_refused

    async def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Return once the broker has confirmed the copy, so that the delivery can be acknowledged.

        While the dead-letter queue is full, a dead letter waits in a retry queue, each time longer.
        Otherwise it would be delivered again at once, and occupy the prefetch.

        Raises BrokerUnavailable if the broker did not confirm, MessageRefused if no queue took the
        copy.
        """
        try:
            await self._settle(delivery, settlement)
        except MessageRefused as error:
            if not isinstance(settlement, Dead):
                raise
            structlog.get_logger().warning("dead_letter_refused", reason=str(error))
            self._on_dead_letter_refused()
            await self._settle(delivery, self._later(delivery, settlement))

    def _later(self, delivery: Delivery, settlement: Dead) -> Retry:
        delays = sorted(self._topology.retry_delays)
        delay = delays[min(delivery.attempts, len(delays) - 1)]
        return Retry(delay_seconds=delay, code=settlement.code, reason=settlement.reason)

    async def _settle(self, delivery: Delivery, settlement: Settlement) -> None:
        match settlement:
            case Ack():
                return
            case Retry():
                queue = self._topology.retry_queue(settlement.delay_seconds)
                count = settlement.redelivery_count
                own = headers_of_retry(delivery, settlement)
                await self._publish_copy(delivery, settlement, "", queue, count, own)
            case Dead():
                exchange = self._topology.exchange("dead-letter")
                await self._publish_copy(delivery, settlement, exchange, delivery.routing_key, 0)

    async def _publish_copy(
        self,
        delivery: Delivery,
        settlement: Retry | Dead,
        exchange: str,
        routing_key: str,
        redelivery_count: int,
        own_headers: Mapping[str, object] = {},
    ) -> None:
        copy = copy_of(
            delivery,
            code=settlement.code,
            reason=settlement.reason,
            now=self._now(),
            redelivery_count=redelivery_count,
            own_user=self._publisher.user,
            max_frame_bytes=self._publisher.max_frame_bytes,
            own_headers=own_headers,
        )
        message = Outgoing(
            exchange=exchange,
            routing_key=routing_key,
            body=delivery.body,
            message_id=identifier(copy.properties),
            original=copy.properties,
            headers=copy.headers,
            mandatory=True,
        )
        if not await self._publish(message):
            raise MessageRefused(f"no queue took the message for {exchange or routing_key!r}")

    async def _publish(self, message: Outgoing) -> bool:
        """Publish. If the channel is lost, try without the `user_id`, because the broker may know
        this client by another name."""
        try:
            return await self._publisher.publish(message)
        except ChannelLost:
            if USER_ID not in message.original:
                raise
        original = {flag: value for flag, value in message.original.items() if flag != USER_ID}
        return await self._publisher.publish(msgspec.structs.replace(message, original=original))


def headers_of_retry(delivery: Delivery, retry: Retry) -> Headers:
    """The headers that a retried copy has and a dead letter does not have.

    The time of a call is kept until the command is parked, because none of its calls was executed.
    """
    headers: Headers = {}
    if delivery.unparked is not None:
        headers[UNPARKED_HEADER] = delivery.unparked
    if retry.first_seen is not None:
        headers[FIRST_SEEN_HEADER] = rfc3339(retry.first_seen)
    if retry.called_at is not None:
        headers[CALLED_AT_HEADER] = rfc3339(retry.called_at)
    elif delivery.called_at is not None and retry.first_seen is None:
        headers[CALLED_AT_HEADER] = delivery.headers[CALLED_AT_HEADER]
    return headers
