"""The contract of the archive's manifest."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import Manifest, examples
from recording_schemas.archive_examples import MANIFEST
from recording_schemas.export import HOME
from recording_schemas.json_schema import documents

SCHEMA = documents()["manifest_v1"]
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLE: dict[str, Any] = examples.documents()["manifest_v1"]

FIELDS = {
    "Manifest": "version recording start participants files participants_without_file timeline",
    "ManifestRecording": "recording_id meeting_id session_id kind app status invoked_time"
    " started_time stopped_time recording_duration start_reason stop_reason error",
    "ManifestStart": "start_id metadata asked_for",
    "ManifestPerson": "user_id custom_participant_id",
    "ManifestParticipant": "user_id custom_participant_id display_name preset_name expected stays"
    " files",
    "ManifestStay": "peer_id joined_at left_at files",
    "ManifestFile": "file_name file_index state media_kind layer stream_kind user_id peer_id"
    " custom_participant_id recorded_at archive_url size_bytes sha256 content_type"
    " duration_seconds archived_at storage error",
    "ManifestStatus": "status observed_at observed_by invoked_time started_time stopped_time"
    " stop_reason error",
    "ParticipantWithoutFile": "user_id custom_participant_id joined",
}


def objects_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each object of the manifest."""
    if isinstance(value, dict):
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for name, child in children:
        if isinstance(child, dict | list):
            yield from objects_in(child, (*path, name))


@pytest.mark.parametrize(("struct", "fields"), FIELDS.items())
def test_the_schema_requires_every_field_of_the_manifest(struct: str, fields: str) -> None:
    schema = SCHEMA if struct == "Manifest" else SCHEMA["$defs"][struct]

    assert [*schema["properties"]] == schema["required"] == fields.split()


def test_the_example_is_valid_and_can_be_read() -> None:
    written = (HOME / "examples" / "manifest_v1.json").read_bytes()

    VALIDATOR.validate(json.loads(written))
    assert msgspec.json.decode(written, type=Manifest) == MANIFEST


def test_the_schema_refuses_a_manifest_that_lacks_any_field() -> None:
    for path in objects_in(EXAMPLE):
        if "metadata" in path:
            continue
        names = list(_at(json.loads(json.dumps(EXAMPLE)), path))
        for name in names:
            damaged = json.loads(json.dumps(EXAMPLE))
            del _at(damaged, path)[name]
            assert not VALIDATOR.is_valid(damaged), (path, name)


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_the_schema_refuses_another_version(version: object) -> None:
    assert not VALIDATOR.is_valid(EXAMPLE | {"version": version})


def test_a_reader_ignores_unknown_fields() -> None:
    body = json.dumps(EXAMPLE | {"later": 1}).encode()

    assert msgspec.json.decode(body, type=Manifest) == MANIFEST
    VALIDATOR.validate(json.loads(body))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value
