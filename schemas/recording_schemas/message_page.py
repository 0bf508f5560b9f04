"""Writes the reference page of the messages from their JSON Schemas and examples."""

import json
from collections.abc import Iterator
from typing import Any, Final

from recording_schemas import examples, json_schema
from recording_schemas.commands import COMMAND_TYPES
from recording_schemas.events import EVENT_TYPES, exchange_of_type, routing_key
from recording_schemas.manifest import MANIFEST_NAME

Schema = dict[str, Any]

_INTRODUCTION: Final = """\
<!-- Generated from the message types. To change it: make schemas -->
# Messages

This page describes every command and every event, field by field. It is for developers who write
them, read them, or generate code from them. [JSON Schemas](../../schemas/README.md) and an
[AsyncAPI document](asyncapi.md) say the same to programs.

- Publish **commands** to the topic exchange `recording.commands` with the content type
  `application/json`. The routing key is the command's type.
- **Events** are CloudEvents 1.0 in structured JSON. The tables show the fields of `data`;
  [the envelope](#envelope) has the same fields for all events. Each field is always present, and
  null without a value. Only `sequence` is absent on outcomes.
- The **manifest** is a file in the archive, one for each recording.

In the column "field", a dot leads into an object, and `[]` stands for each element of a list.
"""
_EXAMPLE: Final = """\
<details markdown="1"><summary>Example</summary>

```json
{}
```

</details>
"""


def page() -> str:
    """The page as Markdown."""
    schemas, bodies = json_schema.documents(), examples.documents()
    keys = {EVENT_TYPES[type(data)]: routing_key(data) for data in examples.EVENTS}
    event = _any_event(schemas[next(iter(keys))])
    parts = [_INTRODUCTION, "## Commands\n"]
    for name, struct in COMMAND_TYPES.items():
        command = schemas[name]
        parts.append(_section(name, command, command, bodies[name], _in_python(struct)))
    parts += ["## Events\n", f"### Envelope\n\n{_table(event, event, depth=0)}"]
    for data, name in EVENT_TYPES.items():
        where = f"Exchange `recording.{exchange_of_type(data)}`, for example with the routing key "
        fields = schemas[name]["$defs"][data.__name__]
        place = f"{where}`{keys[name]}`. {_in_python(data)}"
        parts.append(_section(name, fields, schemas[name], bodies[name], place))
    manifest = schemas[MANIFEST_NAME]
    parts += ["## Manifest\n", _section(MANIFEST_NAME, manifest, manifest, bodies[MANIFEST_NAME])]
    return "\n".join(parts)


def _in_python(struct: type) -> str:
    return f"In Python: `recording_schemas.{struct.__name__}`."


def _any_event(event: Schema) -> Schema:
    """The envelope of one type, with the words that are true of all types."""
    text: Schema = {"type": "string"}
    subject = "The id of the recording. On an outcome such as `command.succeeded.v1`: the id of "
    words = {
        "type": ("The kind of event, with its version.", event["properties"]["type"]["const"]),
        "subject": (
            f"{subject}the command.",
            event["properties"]["subject"]["examples"][0],
        ),
        "dataschema": (
            "The `$id` of the type's JSON Schema: a name, not an address.",
            event["properties"]["dataschema"]["const"],
        ),
    }
    properties = event["properties"] | {
        name: text | {"description": meaning, "examples": [example]}
        for name, (meaning, example) in words.items()
    }
    properties["data"] = {"type": "object", "description": "The fields in the table of the type."}
    return event | {"properties": properties}


def _section(name: str, fields: Schema, document: Schema, example: Any, place: str = "") -> str:  # noqa: ANN401
    text = "\n\n".join(part for part in (fields.get("description", ""), place) if part)
    shown = json.dumps(example, indent=2, ensure_ascii=False)
    return f"### `{name}`\n\n{text}\n\n{_table(fields, document)}\n{_EXAMPLE.format(shown)}"


def _table(fields: Schema, document: Schema, depth: int = 9) -> str:
    rows = _rows(fields, document, "", depth)
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *rows, ""])


def _rows(schema: Schema, document: Schema, prefix: str, depth: int) -> Iterator[str]:
    # Every field of an event and of the manifest is always there, so the word would say nothing.
    is_command = "type" in document["properties"] and "specversion" not in document["properties"]
    required = schema.get("required", ()) if is_command else ()
    for name, field in schema["properties"].items():
        inner, is_list = _object_in(field, document)
        needed = " **Required.**" if name in required else ""
        meaning = f"{_cell(field.get('description', ''))}{needed}{_example(field, inner)}"
        yield f"| `{prefix}{name}` | {_type_of(field, document)} | {meaning} |"
        if inner is not None and depth:
            dots = "[]." if is_list else "."
            yield from _rows(inner, document, f"{prefix}{name}{dots}", depth - 1)


def _example(field: Schema, inner: Schema | None) -> str:
    """Objects have none: their fields do, in the rows below."""
    if inner is not None or "const" in field or not field.get("examples"):
        return ""
    return f" Example: `{_cell(json.dumps(field['examples'][0], ensure_ascii=False))}`"


def _object_in(field: Schema, document: Schema) -> tuple[Schema | None, bool]:
    """The schema of the object in this field, and whether the field is a list of them."""
    for choice in (field, *field.get("anyOf", ())):
        items = choice.get("items", {})
        for candidate, is_list in ((choice, False), (items, True)):
            target = _resolved(candidate, document)
            if "properties" in target:
                return target, is_list
    return None, False


def _type_of(field: Schema, document: Schema) -> str:
    names = [_type_name(choice, document) for choice in field.get("anyOf", [field])]
    return " or ".join(dict.fromkeys(names))


def _type_name(choice: Schema, document: Schema) -> str:
    target = _resolved(choice, document)
    if "const" in target:
        return f"`{json.dumps(target['const'])}`"
    if "enum" in target:
        return ", ".join(f"`{value}`" for value in target["enum"])
    if target.get("type") == "array":
        return f"list of {_type_of(target['items'], document)}"
    bounds = [
        f"{sign} {target[key]:,}"
        for key, sign in (("minimum", "≥"), ("maximum", "≤"))
        if key in target
    ]
    name = {"date-time": "time"}.get(target.get("format", ""), str(target.get("type", "any")))
    return " ".join([name, *bounds])


def _resolved(schema: Schema, document: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = document["$defs"][reference.rpartition("/")[2]]
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
