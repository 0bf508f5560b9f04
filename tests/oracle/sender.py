"""Publishes drawn commands with plain aio-pika, in each form that the contract allows."""

import gzip
import json
import random
import time
from typing import Any

import aio_pika
from aio_pika.abc import AbstractExchange

from tests.oracle.commands import Drawn
from tests.oracle.evidence import Sent


class Sender:
    """Publishes to the commands exchange, and remembers what the broker has confirmed."""

    def __init__(self, exchange: AbstractExchange, reply_to: str, sent: list[Sent]) -> None:
        self._sent = sent
        self._exchange = exchange
        self._reply_to = reply_to

    async def send(self, drawn: Drawn, dice: random.Random) -> None:
        """Publish it once."""
        at = time.time()
        correlation = f"k{len(self._sent)}" if dice.random() < 0.5 else None
        reply_to = self._reply_to if dice.random() < 0.4 else None
        body, properties = _form(drawn, dice)
        message = aio_pika.Message(
            body,
            content_type="application/json" if drawn.command else None,
            correlation_id=correlation,
            reply_to=reply_to,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            **properties,
        )
        key = drawn.command["type"] if drawn.command else "garbage"
        await self._exchange.publish(message, routing_key=key)
        self._sent.append(
            Sent(at, drawn.id, body, drawn.command, drawn.is_right, correlation, reply_to)
        )


def _form(drawn: Drawn, dice: random.Random) -> tuple[bytes, dict[str, Any]]:
    """The body, and the properties that belong to its form."""
    if drawn.command is None:
        assert drawn.body is not None
        return drawn.body, {"message_id": drawn.id}
    plain = json.dumps(drawn.command, ensure_ascii=False).encode()
    form = dice.choice(("plain", "plain", "plain", "bom", "gzip", "event", "binary", "id"))
    without_id = {name: part for name, part in drawn.command.items() if name != "id"}
    bare = json.dumps(without_id).encode()
    attributes = {"specversion": "1.0", "source": "/oracle", "type": drawn.command["type"]}
    if form == "bom":
        return b"\xef\xbb\xbf" + plain, {}
    if form == "gzip":
        return gzip.compress(plain), {"content_encoding": "gzip"}
    if form == "event":
        event = {**attributes, "id": drawn.id, "data": without_id}
        return json.dumps(event).encode(), {}
    if form == "binary":
        headers = {f"cloudEvents:{name}": part for name, part in attributes.items()}
        return bare, {"headers": {**headers, "cloudEvents:id": drawn.id}, "message_id": "x"}
    if form == "id":
        return bare, {"message_id": drawn.id}
    return plain, {}
