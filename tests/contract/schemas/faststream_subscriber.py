"""Delivers the messages named on the command line to a FastStream subscriber, without a broker.

FastStream is installed in a separate environment, so this runs as a program. It prints one line of
JSON for each message: the handler's argument, or the reason why the handler was not called.
"""

import asyncio
import json
import sys
from pathlib import Path

from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit import TestRabbitBroker as InMemoryBroker

from recording_schemas import EVENT_CONTENT_TYPE, CloudEvent, NotAnEvent
from recording_schemas.faststream import event_decoder

EXCHANGE = RabbitExchange("recording.files", type=ExchangeType.TOPIC)
QUEUE = RabbitQueue("files", routing_key="#")


async def deliver(paths: list[Path]) -> None:
    broker = RabbitBroker()

    @broker.subscriber(QUEUE, EXCHANGE, decoder=event_decoder)
    async def on_event(event: CloudEvent) -> None:
        print(json.dumps({"id": event.id, "data": type(event.data).__name__}))

    async with InMemoryBroker(broker):
        for path in paths:
            try:
                await broker.publish(
                    path.read_bytes(),
                    exchange=EXCHANGE,
                    routing_key="x",
                    content_type=EVENT_CONTENT_TYPE,
                )
            except NotAnEvent as error:
                print(json.dumps({"error": str(error)}))


asyncio.run(deliver([Path(name) for name in sys.argv[1:]]))
