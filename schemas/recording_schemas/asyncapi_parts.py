"""The server, headers and properties of the AsyncAPI document."""

from typing import Any, Final

from recording_schemas.envelope import EVENT_CONTENT_TYPE

Document = dict[str, Any]

TRACE: Final[Document] = {
    "type": "object",
    "properties": {
        "correlation_id": {
            "type": "string",
            "description": "An AMQP property, not a header. The worker copies the command's to "
            "every event of the command; without one it takes the command's id.",
        },
        "reply_to": {
            "type": "string",
            "description": "An AMQP property of a command, not a header: a queue that receives "
            "the outcome as well.",
        },
        "traceparent": {
            "type": "string",
            "description": "The W3C trace context. The events continue this trace.",
        },
        "tracestate": {"type": "string"},
    },
}
REASON: Final[Document] = {
    "type": "object",
    "properties": {
        "x-reason-code": {"type": "string", "description": "A slug such as invalid_field."},
        "x-reason": {"type": "string", "description": "The reason in words."},
        "x-attempts": {
            "type": "integer",
            "description": "How often it was retried or dead-lettered since the last replay. "
            "A retry without an attempt counts, too.",
        },
        "x-first-seen": {
            "type": "string",
            "format": "date-time",
            "description": "When a worker first received it since the last replay.",
        },
        "x-last-seen": {
            "type": "string",
            "format": "date-time",
            "description": "When the worker put it into the dead-letter queue.",
        },
        "x-original-routing-key": {
            "type": "string",
            "description": "The routing key of the first publication.",
        },
        "x-dropped-headers": {
            "type": "integer",
            "description": "How many of the publisher's headers could not be kept. Absent if none.",
        },
        "x-original-user-id": {
            "type": "string",
            "description": "The publisher's user_id. Absent if it had none.",
        },
        "x-original-expiration": {
            "type": "string",
            "description": "The publisher's expiration, in milliseconds. Absent if it had none.",
        },
        "x-message-id-added": {
            "type": "boolean",
            "description": "True if the message_id is not the publisher's. Absent otherwise.",
        },
        "x-replays": {
            "type": "integer",
            "description": "How often it was replayed before. Absent if never.",
        },
        "x-replayed-at": {
            "type": "string",
            "format": "date-time",
            "description": "When it was last replayed.",
        },
        "x-replay-attempts": {
            "type": "integer",
            "description": "x-attempts before the last replay. Absent if it was not replayed.",
        },
        "x-replay-first-seen": {
            "type": "string",
            "format": "date-time",
            "description": "When a worker first received it, before any replay.",
        },
    },
    "required": ["x-reason-code", "x-reason", "x-attempts", "x-first-seen"],
}
COMMAND_PROPERTIES: Final = {
    "content_type": "application/json, or application/cloudevents+json around it",
    "content_encoding": "gzip, or none",
    "message_id": "the command's id, if neither the command nor its CloudEvent has one",
    "correlation_id": "copied to every event of the command",
    "reply_to": "a queue that receives the outcome as well",
}
EVENT_PROPERTIES: Final = {
    "content_type": EVENT_CONTENT_TYPE,
    "message_id": "the CloudEvent's id",
    "type": "the CloudEvent's type",
    "timestamp": "when the event was committed",
    "correlation_id": "the correlation_id of the command behind the event, else its id",
    "delivery_mode": "persistent",
}


CORRELATION: Final = {
    "location": "$message.header#/correlation_id",
    "description": "The AMQP property correlation_id.",
}
SERVER: Final[Document] = {
    "host": "{host}:{port}",
    "pathname": "/{vhost}",
    "protocol": "amqp",
    "protocolVersion": "0.9.1",
    "title": "RabbitMQ",
    "description": "The broker in the worker's AMQP_URL. With TLS the protocol is amqps, the port "
    "5671.",
    "variables": {
        "host": {"default": "localhost", "description": "The broker's name or address."},
        "port": {"default": "5672", "description": "The port for AMQP."},
        "vhost": {"default": "", "description": "The virtual host. Empty means `/`."},
    },
}
