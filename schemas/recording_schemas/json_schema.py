"""The message types as JSON Schema (2020-12): the same rules, for programs in other languages."""

from inspect import cleandoc
from typing import Any, Final

import msgspec

from recording_schemas.commands import COMMAND_TYPES
from recording_schemas.composite import StorageConfig
from recording_schemas.envelope import DATASCHEMA
from recording_schemas.events import EVENT_TYPES, EventData, exchange_of_type
from recording_schemas.manifest import MANIFEST_NAME, Manifest

Schema = dict[str, Any]

_RECORDING: Final = "b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_COMMANDS: Final = frozenset(struct.__name__ for struct in COMMAND_TYPES.values())
_WITH_RULES: Final = (*COMMAND_TYPES.values(), StorageConfig)


def documents() -> dict[str, Schema]:
    """One self-contained schema per message, by the command's or the event's type.

    The manifest of the archive has one, too.
    """
    commands = {
        name: _command_document(name, struct) for name, struct in sorted(COMMAND_TYPES.items())
    }
    events = {name: _event_document(data) for data, name in EVENT_TYPES.items()}
    return commands | events | {MANIFEST_NAME: _manifest_document()}


def components(types: list[type], ref_template: str) -> dict[str, Schema]:
    """The schemas of `types` and of all structs inside them, by struct name.

    They include the rules that span several fields.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template=ref_template)
    for name, schema in schemas.items():
        _finish(name, schema)
    for struct in _WITH_RULES:
        if struct.__name__ in schemas:
            schemas[struct.__name__].update(getattr(struct, "schema_rules", {}))
    return schemas


def _finish(name: str, schema: Schema) -> None:
    """Add what tools read: a title, whole sentences, a type next to each enum."""
    schema.setdefault("title", name)
    if "description" in schema:
        schema["description"] = cleandoc(schema["description"])
    for part in (schema, *schema.get("properties", {}).values()):
        for choice in (part, *part.get("anyOf", [])):
            if "enum" in choice:  # the only one without strings is the version of the manifest
                choice["type"] = "integer" if choice["enum"] == [1] else "string"
            if "propertyNames" in choice:
                choice["propertyNames"]["type"] = "string"
        # In Python an absent field has a value. In JSON that value may be forbidden.
        part.pop("default", None)
        if "anyOf" in part:  # the versions of msgspec differ in where they put null
            part["anyOf"].sort(key=lambda choice: choice == {"type": "null"})
    if name in _COMMANDS:  # other structs explain their own `type`
        schema["properties"]["type"]["description"] = "The kind of command, and its routing key."


def envelope(data: type[EventData], data_schema: Schema) -> Schema:
    """The CloudEvent around `data`. It allows further attributes, because CloudEvents 1.0 does."""
    name = EVENT_TYPES[data]
    text: Schema = {"type": "string", "minLength": 1}
    properties: Schema = {
        "id": text
        | {
            "description": "Stable: the same fact always has the same id, in every copy of its "
            "event. Keep the ids that you have handled.",
            "examples": ["0b9f1c2d-3e4f-5a6b-8c7d-9e0f1a2b3c08"],
        },
        "source": text
        | {
            "format": "uri-reference",
            "description": "The worker, by its setting `WORKER_SOURCE`.",
            "examples": ["recording-worker"],
        },
        "specversion": _constant("1.0", "The version of CloudEvents."),
        "type": _constant(name, "The kind of event, with its version."),
        "subject": text | {"description": "The id of the recording.", "examples": [_RECORDING]},
        "time": {
            "type": "string",
            "format": "date-time",
            "description": "When the worker committed the event, RFC 3339.",
            "examples": ["2026-01-01T10:30:40Z"],
        },
        "datacontenttype": _constant("application/json", "The form of `data`."),
        "dataschema": _constant(
            DATASCHEMA[data], "The `$id` of this schema: a name, not an address."
        ),
        "data": data_schema | {"description": cleandoc(data.__doc__ or "")},
    }
    required = [*properties]
    schema: Schema = {
        "title": f"{data.__name__}Event",
        "description": cleandoc(data.__doc__ or ""),
        "type": "object",
        "properties": properties,
    }
    if exchange_of_type(data) == "results":
        properties["subject"] = text | {
            "description": "The id of the command.",
            "examples": ["weekly-2026-01-01-start"],
        }
        return schema | {"required": required}
    properties["sequence"] = text | {
        "description": "Orders the events of one recording: twelve digits, compared as a string. "
        "Outcomes have none.",
        "examples": ["000000000007"],
    }
    return schema | {"required": [*required, "sequence"]}


def _constant(value: str, description: str) -> Schema:
    return {"type": "string", "const": value, "description": description}


def _command_document(name: str, struct: type[msgspec.Struct]) -> Schema:
    defs = components([struct], "#/$defs/{name}")
    root = defs.pop(struct.__name__)
    return _document(f"urn:recording-worker:schema:command.{name}", name, root, defs)


def _event_document(data: type[EventData]) -> Schema:
    defs = components([data], "#/$defs/{name}")
    root = envelope(data, {"$ref": f"#/$defs/{data.__name__}"})
    return _document(DATASCHEMA[data], EVENT_TYPES[data], root, defs)


def _manifest_document() -> Schema:
    defs = components([Manifest], "#/$defs/{name}")
    root = defs.pop(Manifest.__name__)
    return _document(f"urn:recording-worker:schema:{MANIFEST_NAME}", MANIFEST_NAME, root, defs)


def _document(identity: str, title: str, root: Schema, defs: dict[str, Schema]) -> Schema:
    document = {"$schema": DIALECT, "$id": identity, **root, "title": title}
    return document | ({"$defs": dict(sorted(defs.items()))} if defs else {})
