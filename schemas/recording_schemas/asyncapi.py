"""The whole message interface as one AsyncAPI 3 document, from the worker's point of view.

The properties message_id, correlation_id, reply_to, type and timestamp are not headers in
AMQP 0-9-1, and AsyncAPI's bindings have no place for them. `x-amqp-properties` describes them.
"""

from typing import Any, Final

from recording_schemas import examples, json_schema
from recording_schemas.archive_events import Archived, ArchiveFailed, FileArchived
from recording_schemas.asyncapi_parts import (
    COMMAND_PROPERTIES,
    CORRELATION,
    EVENT_PROPERTIES,
    REASON,
    SERVER,
    TRACE,
)
from recording_schemas.commands import COMMAND_TYPES
from recording_schemas.envelope import EVENT_CONTENT_TYPE
from recording_schemas.events import (
    EVENT_TYPES,
    EventData,
    Exchange,
    exchange_of_type,
    routing_key,
)
from recording_schemas.recording_events import Completed, FileReady, FileUrlRenewed, StatusChanged

Document = dict[str, Any]

_BINDING: Final = {"bindingVersion": "0.3.0"}


def document(version: str) -> Document:
    """The AsyncAPI document. `version` is the version of the message types."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "recording-worker",
            "version": version,
            "description": "Takes commands and publishes outcomes and recording events, over "
            "RabbitMQ. A configured prefix replaces `recording` in the names of exchanges and "
            "queues.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": SERVER},
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channels() -> Document:
    commands = {name: _message_ref(name) for name in COMMAND_TYPES}
    return {
        "commands": {
            "address": "{command_type}",
            "description": "Publishers send commands here. The routing key is the command's type.",
            "parameters": {"command_type": {"enum": list(COMMAND_TYPES)}},
            "messages": commands,
            "bindings": _exchange("recording.commands"),
        },
        "command_queue": {
            "address": "recording.commands",
            "description": "The queue of all commands. All replicas consume it.",
            "messages": commands,
            "bindings": _queue("recording.commands"),
        },
        "retries": {
            "address": "recording.commands.retry.{step}",
            "description": "Commands that wait for another attempt. For the worker only.",
            "parameters": {"step": {"description": "The delay of the step."}},
            "messages": commands,
            "bindings": _queue("recording.commands.retry.{step}"),
        },
        "dead_letters": {
            "address": "recording.commands.dead",
            "description": "Messages that cannot be executed, bytes unchanged, from the exchange "
            "recording.dead-letter.",
            "messages": {"dead_letter": _message_ref("dead_letter")},
            "bindings": _queue("recording.commands.dead"),
        },
        "status": _events("{kind}.{status}", "status", [StatusChanged]),
        "files": _events("{kind}.{media}.ready", "files", [FileReady]),
        "renewed_urls": _events("{kind}.{media}.url_renewed", "files", [FileUrlRenewed]),
        "completed": _events("{kind}.completed", "files", [Completed]),
        "archived_files": _events("{kind}.{media}.archived", "files", [FileArchived]),
        "archived": _events("{kind}.archived", "files", [Archived]),
        "archive_failures": _events("{kind}.archive_failed", "files", [ArchiveFailed]),
        "results": _events("{command_type}.{outcome}", "results", _of_exchange("results")),
        "replies": {
            "address": None,
            "description": "The queue that the command names in reply_to.",
            "messages": _event_refs(_of_exchange("results")),
        },
    }


def _operations() -> Document:
    results = [
        {"$ref": f"#/channels/replies/messages/{EVENT_TYPES[data]}"}
        for data in _of_exchange("results")
    ]
    return {
        "take_command": {
            "action": "receive",
            "channel": {"$ref": "#/channels/commands"},
            "summary": "Send a command.",
            "description": "Publishers send commands to the topic exchange recording.commands, "
            "with the command's type as the routing key. The outcome goes to the exchange "
            "recording.results, and to the queue in reply_to if the command names one.",
            "bindings": {"amqp": {"deliveryMode": 2, **_BINDING}},
            "reply": _reply(results),
        },
        "execute": {
            "action": "receive",
            "channel": {"$ref": "#/channels/command_queue"},
            "summary": "Execute a command, once per id.",
            "bindings": {"amqp": {"ack": True, **_BINDING}},
            "reply": _reply(results),
        },
        "dead_letter": _sends("dead_letters", "Keep a message that cannot be executed."),
        "report_status": _sends("status", "Report that a recording has a new status."),
        "report_file": _sends("files", "Report that a file can be downloaded."),
        "report_renewed_url": _sends("renewed_urls", "Report that a file has a new URL."),
        "report_completed": _sends(
            "completed", "Report that all files of a recording were reported."
        ),
        "report_archived_file": _sends("archived_files", "Report that a file is in the archive."),
        "report_archived": _sends("archived", "Report that all files and the manifest are there."),
        "report_archive_failure": _sends("archive_failures", "Report a file that is not archived."),
        "report_outcome": _sends("results", "Report the outcome of a command, once per id."),
    }


def _reply(results: list[Document]) -> Document:
    return {
        "address": {
            "location": "$message.header#/reply_to",
            "description": "The AMQP property reply_to.",
        },
        "channel": {"$ref": "#/channels/replies"},
        "messages": results,
    }


def _sends(channel: str, summary: str) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "bindings": {"amqp": {"deliveryMode": 2, "timestamp": True, **_BINDING}},
    }


def _messages() -> Document:
    bodies = examples.documents()
    keys = {EVENT_TYPES[type(data)]: routing_key(data) for data in examples.EVENTS}
    commands = {
        name: {
            "name": name,
            "contentType": "application/json",
            "headers": TRACE,
            "correlationId": CORRELATION,
            "payload": {"$ref": f"#/components/schemas/{struct.__name__}"},
            "examples": [{"name": name, "payload": bodies[name]}],
            "x-amqp-properties": COMMAND_PROPERTIES,
        }
        for name, struct in COMMAND_TYPES.items()
    }
    events = {
        name: {
            "name": name,
            "contentType": EVENT_CONTENT_TYPE,
            "headers": TRACE,
            "correlationId": CORRELATION,
            "payload": {"$ref": f"#/components/schemas/{data.__name__}Event"},
            "examples": [{"name": keys[name], "payload": bodies[name]}],
            "x-amqp-properties": EVENT_PROPERTIES,
            "x-example-routing-key": keys[name],
        }
        for data, name in EVENT_TYPES.items()
    }
    dead = {
        "name": "dead_letter",
        "summary": "The message as it was received, in any form.",
        "contentType": "application/octet-stream",
        "headers": REASON,
    }
    return commands | events | {"dead_letter": dead}


def _schemas() -> Document:
    parts = json_schema.components(
        [*COMMAND_TYPES.values(), *EVENT_TYPES], "#/components/schemas/{name}"
    )
    envelopes = {
        f"{data.__name__}Event": json_schema.envelope(
            data, {"$ref": f"#/components/schemas/{data.__name__}"}
        )
        for data in EVENT_TYPES
    }
    for name, schema in parts.items():
        _name_inner_schemas(name, schema)
    return dict(sorted({**parts, **envelopes}.items()))


def _name_inner_schemas(name: str, schema: Document) -> None:
    """Give each inner schema a title, from which generators make the name of its type.

    Without one they number it, and Go ignores a file whose name ends with `_386`.
    """
    for field, inner in schema.get("properties", {}).items():
        if "anyOf" in inner or "enum" in inner:
            title = inner.setdefault("title", name + _in_camel_case(field))
            for choice in inner.get("anyOf", []):
                if "enum" in choice:
                    choice["title"] = title
    if "oneOf" in schema:  # the structs share these rules, so they are copied
        schema["oneOf"] = [
            choice | {"title": f"{name}By{_in_camel_case(choice['required'][0])}"}
            for choice in schema["oneOf"]
        ]
    for rule in schema.keys() & {"if", "then"}:
        schema[rule] = schema[rule] | {"title": name + rule.capitalize()}


def _in_camel_case(field: str) -> str:
    return "".join(map(str.capitalize, field.split("_")))


def _events(address: str, exchange: Exchange, types: list[type[EventData]]) -> Document:
    names = [part.split("}")[0] for part in address.split("{")[1:]]
    return {
        "address": address,
        "parameters": {name: _PARAMETERS[name] for name in names},
        "messages": _event_refs(types),
        "bindings": _exchange(f"recording.{exchange}"),
    }


_PARAMETERS: Final[Document] = {
    "kind": {"enum": ["track", "composite"]},
    "status": {"enum": ["invoked", "recording", "paused", "uploading", "uploaded", "errored"]},
    "media": {"enum": ["audio", "video"]},
    "command_type": {"enum": [*COMMAND_TYPES, "unknown"]},
    "outcome": {"enum": ["succeeded", "rejected", "expired", "failed"]},
}


def _of_exchange(exchange: Exchange) -> list[type[EventData]]:
    return [data for data in EVENT_TYPES if exchange_of_type(data) == exchange]


def _event_refs(types: list[type[EventData]]) -> Document:
    return {EVENT_TYPES[data]: _message_ref(EVENT_TYPES[data]) for data in types}


def _message_ref(name: str) -> Document:
    return {"$ref": f"#/components/messages/{name}"}


def _exchange(name: str) -> Document:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "routingKey", "exchange": exchange, **_BINDING}}


def _queue(name: str) -> Document:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    return {"amqp": {"is": "queue", "queue": queue, **_BINDING}}
