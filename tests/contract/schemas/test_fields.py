"""Every field of every message has a description and an example in every generated document."""

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import Malformed, Manifest, asyncapi, decode_command, examples
from recording_schemas.commands import COMMAND_TYPES
from recording_schemas.events import EVENT_TYPES
from recording_schemas.json_schema import DIALECT, components
from tests.contract.schemas.message_schemas import SCHEMAS
from worker.domain.event_envelopes import event_id_of

PARTS = components([*COMMAND_TYPES.values(), *EVENT_TYPES, Manifest], "#/$defs/{name}")
PARTS.pop("Manifest")  # its parts have the examples
FIELDS = [
    pytest.param(name, field, id=f"{name}.{field}")
    for name, part in PARTS.items()
    for field in part.get("properties", {})
    if (name, field) not in {(struct.__name__, "type") for struct in COMMAND_TYPES.values()}
]


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_the_description_of_a_field_has_more_than_the_words_of_its_name(
    name: str, field: str
) -> None:
    description = PARTS[name]["properties"][field]["description"]
    words = set(re.findall(r"[a-z]+", description.lower()))
    repeated = set(re.findall(r"[a-z]+", f"{field} {name}".lower().replace("_", " ")))

    assert description.endswith("."), description
    assert len(words - repeated - {"the", "of", "a", "an", "is"}) >= 3, description


def test_only_the_type_of_a_command_is_explained_as_a_routing_key() -> None:
    explained = {
        name
        for name, part in PARTS.items()
        if "routing key" in part.get("properties", {}).get("type", {}).get("description", "")
    }

    assert explained == {struct.__name__ for struct in COMMAND_TYPES.values()}


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_the_examples_of_a_field_are_valid(name: str, field: str) -> None:
    schema = {"$schema": DIALECT, "$defs": PARTS, **PARTS[name]["properties"][field]}

    assert schema["examples"]
    for example in schema["examples"]:
        assert not list(Draft202012Validator(schema).iter_errors(example)), example


@pytest.mark.parametrize("name", sorted({str(field.values[0]) for field in FIELDS}))
def test_a_nullable_field_says_when_it_is_null(name: str) -> None:
    silent = [
        field
        for field, schema in PARTS[name]["properties"].items()
        if {"type": "null"} in schema.get("anyOf", [])
        and "null" not in schema["description"].lower()
    ]

    assert silent == []


def parts_of(value: Any, path: str = "") -> Any:
    """Every object inside a document, with its path."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            yield from parts_of(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from parts_of(inner, f"{path}/{number}")


@pytest.mark.parametrize(
    "schema", [*SCHEMAS.values(), asyncapi.document("1")["components"]["schemas"]]
)
def test_no_schema_is_a_boolean_and_every_object_has_a_title(schema: dict[str, Any]) -> None:
    for path, part in parts_of(schema):
        for name, field in part.get("properties", {}).items():
            assert isinstance(field, dict), f"{path}/{name}"
        if "properties" in part and part.get("type") == "object":
            assert part.get("title"), path
        assert not isinstance(part.get("items"), bool), path


@pytest.mark.parametrize("name", ["start_recording", "start_track_recording"])
@pytest.mark.parametrize(
    "value", [60, 86400, 3600.0, 59, 86401, 60.5, "60", None, True, [60]], ids=repr
)
def test_the_schema_takes_max_seconds_exactly_as_the_worker_does(name: str, value: Any) -> None:
    fields = {
        "type": name,
        "id": "s",
        "meeting_id": "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01",
        "max_seconds": value,
    }
    try:
        decode_command(msgspec.json.encode(fields))
        is_taken = True
    except Malformed:
        is_taken = False

    assert Draft202012Validator(SCHEMAS[name]).is_valid(fields) == is_taken


def test_the_examples_have_different_ids_and_those_that_the_worker_would_give_them() -> None:
    events = [body for body in examples.documents().values() if "specversion" in body]

    for event in events:
        number = event.get("sequence")
        outcome = f"outcome/{event['subject']}"
        fact = f"recording/{event['subject']}/{int(number)}" if number else outcome
        assert event["id"] == event_id_of(fact)
        assert number is None or re.fullmatch(r"\d{12}", number)
    assert len({event["id"] for event in events}) == len(events)
