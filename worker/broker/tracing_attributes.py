"""The attributes of a message's span, by OpenTelemetry's conventions for RabbitMQ."""

from worker.broker.messages import Delivery, Outgoing

Attributes = dict[str, str | int]


def publish_attributes(message: Outgoing) -> Attributes:
    """The attributes of a span that publishes a message."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": _joined(message.exchange, message.routing_key),
        **_message_attributes(message),
    }


def process_attributes(delivery: Delivery, queue: str) -> Attributes:
    """The attributes of a span that processes a command. Queue and exchange have one name."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": _joined(queue, delivery.routing_key, queue),
        **_message_attributes(delivery),
    }


def _joined(*parts: str) -> str:
    return ":".join(part for part in parts if part)


def _message_attributes(message: Outgoing | Delivery) -> Attributes:
    values = {
        "messaging.rabbitmq.destination.routing_key": message.routing_key,
        "messaging.message.id": message.message_id,
        "messaging.message.conversation_id": message.correlation_id,
    }
    attributes: Attributes = {name: value for name, value in values.items() if value}
    return attributes | {"messaging.message.body.size": len(message.body)}
