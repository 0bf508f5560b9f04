"""Messages in the words of OpenTelemetry's conventions for RabbitMQ."""

from worker.broker.messages import Delivery, Outgoing

Attributes = dict[str, str | int]


def publish_attributes(message: Outgoing) -> Attributes:
    """Of one that is published."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": _joined(message.exchange, message.routing_key),
        **_about(message),
    }


def process_attributes(delivery: Delivery, queue: str) -> Attributes:
    """Of one that was delivered from the queue of commands, whose exchange is called the same."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": _joined(queue, delivery.routing_key, queue),
        **_about(delivery),
    }


def _joined(*parts: str) -> str:
    return ":".join(part for part in parts if part)


def _about(message: Outgoing | Delivery) -> Attributes:
    known = {
        "messaging.rabbitmq.destination.routing_key": message.routing_key,
        "messaging.message.id": message.message_id,
        "messaging.message.conversation_id": message.correlation_id,
    }
    facts: Attributes = {name: text for name, text in known.items() if text}
    return facts | {"messaging.message.body.size": len(message.body)}
