"""The message types as JSON Schema (2020-12): the same rules, for programs in other languages."""

from inspect import cleandoc
from typing import Any, Final

import msgspec

from recording_schemas.commands import COMMAND_TYPES
from recording_schemas.composite import StorageConfig
from recording_schemas.envelope import DATASCHEMA
from recording_schemas.events import EVENT_TYPES, EventData, exchange_of_type

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_WITH_RULES: Final = (*COMMAND_TYPES.values(), StorageConfig)


def documents() -> dict[str, Schema]:
    """One self-contained schema per message, by the command's or the event's type."""
    commands = {
        name: _command_document(name, struct) for name, struct in sorted(COMMAND_TYPES.items())
    }
    return commands | {name: _event_document(data) for data, name in EVENT_TYPES.items()}


def components(types: list[type], ref_template: str) -> dict[str, Schema]:
    """The schemas of `types` and of all structs inside them, by struct name.

    They include the rules that span several fields.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template=ref_template)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
        for field in schema.get("properties", {}).values():
            # In Python an absent field has a value. In JSON that value may be forbidden.
            field.pop("default", None)
            if "anyOf" in field:  # the versions of msgspec differ in where they put null
                field["anyOf"].sort(key=lambda choice: choice == {"type": "null"})
    for struct in _WITH_RULES:
        if struct.__name__ in schemas:
            schemas[struct.__name__].update(getattr(struct, "schema_rules", {}))
    return schemas


def envelope(data: type[EventData], data_schema: Schema) -> Schema:
    """The CloudEvent around `data`. It allows further attributes, because CloudEvents 1.0 does."""
    name = EVENT_TYPES[data]
    text: Schema = {"type": "string", "minLength": 1}
    properties: Schema = {
        "id": text | {"description": "Stable: the same fact always has the same id."},
        "source": text | {"format": "uri-reference"},
        "specversion": {"const": "1.0"},
        "type": {"const": name},
        "subject": text,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": DATASCHEMA[data]},
        "data": data_schema,
    }
    required = [*properties]
    if exchange_of_type(data) == "results":
        properties["subject"] = text | {"description": "The id of the command."}
        properties["sequence"] = False
    else:
        properties["subject"] = text | {"description": "The id of the recording."}
        properties["sequence"] = text | {
            "description": "Orders the events of one recording, compared as a string."
        }
        required.append("sequence")
    return {"type": "object", "properties": properties, "required": required}


def _command_document(name: str, struct: type[msgspec.Struct]) -> Schema:
    defs = components([struct], "#/$defs/{name}")
    root = defs.pop(struct.__name__)
    return _document(f"urn:recording-worker:schema:command.{name}", name, root, defs)


def _event_document(data: type[EventData]) -> Schema:
    defs = components([data], "#/$defs/{name}")
    root = envelope(data, {"$ref": f"#/$defs/{data.__name__}"})
    return _document(DATASCHEMA[data], EVENT_TYPES[data], root, defs)


def _document(identity: str, title: str, root: Schema, defs: dict[str, Schema]) -> Schema:
    document = {"$schema": DIALECT, "$id": identity, **root, "title": title}
    return document | ({"$defs": dict(sorted(defs.items()))} if defs else {})
