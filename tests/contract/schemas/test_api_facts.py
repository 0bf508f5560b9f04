"""The start commands can say all that the recording API documents, and nothing it does not know.

The facts are the vendor's public API description as of August 2026; those marked EXTRA are only
in its guide or its client library.
"""

from typing import Any, NamedTuple

import pytest

from recording_schemas import COMMAND_TYPES
from tests.contract.schemas.message_schemas import SCHEMAS

OURS = {"type", "id", "deadline", "app", "metadata", "wait_for_session"}
OURS_TRACK = OURS | {"custom_participant_ids", "custom_participant_ids.*", "max_seconds"}


class Fact(NamedTuple):
    """One parameter: its JSON type, its words or range, and whether it is required."""

    type: str
    words: tuple[str, ...] = ()
    at_least: int | None = None
    at_most: int | None = None
    required: bool = False


EXTRA_STORAGE_TYPE = "cloudflare"
EXTRA_VIDEO_CODEC = "VP9"

START_TRACK = {
    "meeting_id": Fact("string", required=True),
    "user_ids": Fact("array", at_least=1, at_most=100),
    "user_ids.*": Fact("string", at_least=1, at_most=256),
    "layers": Fact("object"),
    "layers.default": Fact("object"),
    "layers.default.media_kind": Fact("enum", ("audio",)),
    "layers.default.file_name_prefix": Fact("string"),
}
START = {
    "meeting_id": Fact("string", required=True),
    "allow_multiple_recordings": Fact("boolean"),
    "audio_config": Fact("object"),
    "audio_config.codec": Fact("enum", ("MP3", "AAC")),
    "audio_config.channel": Fact("enum", ("mono", "stereo")),
    "audio_config.export_file": Fact("boolean"),
    "file_name_prefix": Fact("string"),
    "interactive_config": Fact("object"),
    "interactive_config.type": Fact("enum", ("ID3",)),
    "max_seconds": Fact("integer", at_least=60, at_most=86_400),
    "realtimekit_bucket_config": Fact("object"),
    "realtimekit_bucket_config.enabled": Fact("boolean", required=True),
    "rtmp_out_config": Fact("object"),
    "rtmp_out_config.rtmp_url": Fact("string"),
    "storage_config": Fact("object"),
    "storage_config.type": Fact(
        "enum",
        ("aws", "azure", "digitalocean", "gcs", "sftp", EXTRA_STORAGE_TYPE),
        required=True,
    ),
    "storage_config.account_id": Fact("string"),
    "storage_config.access_key": Fact("string"),
    "storage_config.secret": Fact("string"),
    "storage_config.bucket": Fact("string"),
    "storage_config.region": Fact("string"),
    "storage_config.path": Fact("string"),
    "storage_config.auth_method": Fact("enum", ("KEY", "PASSWORD")),
    "storage_config.username": Fact("string"),
    "storage_config.password": Fact("string"),
    "storage_config.host": Fact("string"),
    "storage_config.port": Fact("integer"),
    "storage_config.private_key": Fact("string"),
    "url": Fact("string"),
    "video_config": Fact("object"),
    "video_config.codec": Fact("enum", ("H264", "VP8", EXTRA_VIDEO_CODEC)),
    "video_config.export_file": Fact("boolean"),
    "video_config.height": Fact("integer", at_least=1, at_most=1920),
    "video_config.width": Fact("integer", at_least=1, at_most=1920),
    "video_config.watermark": Fact("object"),
    "video_config.watermark.position": Fact(
        "enum", ("left top", "right top", "left bottom", "right bottom")
    ),
    "video_config.watermark.size": Fact("object"),
    "video_config.watermark.size.height": Fact("integer", at_least=1),
    "video_config.watermark.size.width": Fact("integer", at_least=1),
    "video_config.watermark.url": Fact("string"),
}
CASES = [
    *(("start_track_recording", path, fact) for path, fact in START_TRACK.items()),
    *(("start_recording", path, fact) for path, fact in START.items()),
]


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself: references are resolved, and null is left out."""
    if "anyOf" in schema:
        (schema,) = (option for option in schema["anyOf"] if option.get("type") != "null")
    if "$ref" in schema:
        return dict(document["$defs"][schema["$ref"].rsplit("/", 1)[1]])
    return schema


def _paths(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    below = dict(schema.get("properties", {}))
    if "items" in schema:
        below["*"] = schema["items"]
    for name, field in below.items():
        inner = _resolved(document, field)
        required = name in schema.get("required", ())
        found[name] = {**inner, "required_here": required}
        for path, deeper in _paths(document, inner).items():
            found[f"{name}.{path}"] = deeper
    return found


def _fields(name: str) -> dict[str, dict[str, Any]]:
    document = SCHEMAS[name]
    return _paths(document, document)


@pytest.mark.parametrize(
    ("name", "facts", "own_fields"),
    [
        ("start_track_recording", START_TRACK, OURS_TRACK),
        ("start_recording", START, OURS | {"storage_profile"}),
    ],
)
def test_a_start_command_has_every_parameter_of_the_api_and_no_other(
    name: str, facts: dict[str, Fact], own_fields: set[str]
) -> None:
    assert _fields(name).keys() - own_fields == facts.keys()


@pytest.mark.parametrize(("name", "path", "fact"), CASES)
def test_a_parameter_has_the_type_and_the_range_of_the_api(
    name: str, path: str, fact: Fact
) -> None:
    schema = _fields(name)[path]

    assert ("enum" if "enum" in schema else schema["type"]) == fact.type
    assert set(schema.get("enum", ())) == set(fact.words)
    assert schema["required_here"] == fact.required
    if fact.at_least is not None:
        assert schema[_low(fact.type)] == fact.at_least
    if fact.at_most is not None:
        assert schema[_high(fact.type)] == fact.at_most


def _low(kind: str) -> str:
    return {"array": "minItems", "string": "minLength", "integer": "minimum"}[kind]


def _high(kind: str) -> str:
    return {"array": "maxItems", "string": "maxLength", "integer": "maximum"}[kind]


@pytest.mark.parametrize("name", COMMAND_TYPES)
def test_every_text_of_a_command_has_a_maximum_length(name: str) -> None:
    unbounded = {
        path
        for path, schema in _fields(name).items()
        if schema.get("type") == "string"
        and schema.keys().isdisjoint({"maxLength", "enum"})
        and path != "deadline"
    }

    assert unbounded == set()
