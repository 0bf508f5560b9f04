"""An object may have a field only once, because a second one would silently replace the first."""

import base64
import json

import pytest

from recording_schemas import Malformed, decode_command

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
EVENT = '"specversion":"1.0","id":"e","source":"s","type":"t"'
HEADERS = {f"cloudEvents:{name}": "x" for name in ("id", "source", "type")} | {
    "cloudEvents:specversion": "1.0"
}
LONG = " " * 200_000
"""With it, a body is no longer decoded on the quick path."""


def start(fields: str) -> str:
    return f'{{"type":"start_track_recording","id":"a","meeting_id":"{MEETING}",{fields}}}'


def refusal(body: str, **properties: object) -> Malformed:
    with pytest.raises(Malformed) as refused:
        decode_command(body.encode(), **properties)  # type: ignore[arg-type]
    return refused.value


def facts(refused: Malformed) -> tuple[str, str | None, str | None]:
    return refused.code, refused.field, refused.command_id


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ('"user_ids":["u1"],"user_ids":["u2"]', "user_ids"),
        ('"user_ids":["u1"],"app":"x","user_ids":["u1"]', "user_ids"),
        ('"user_ids":["u1"],"user\\u005fids":["u2"]', "user_ids"),
        ('"app":"x", "app" : null', "app"),
        ('"metadata":{"room":"1","room":"2"}', "metadata.room"),
        (
            '"layers":{"default":{"media_kind":"audio","media_kind":"audio"}}',
            "layers.default.media_kind",
        ),
        ('"id":"a"', "id"),
    ],
)
def test_a_field_that_is_given_twice_is_named_in_every_form_of_a_command(
    fields: str, field: str
) -> None:
    text = start(fields)
    packed = base64.b64encode(text.encode()).decode()
    refused = [
        refusal(text),
        refusal(text + LONG),
        refusal(f'{{{EVENT},"data":{text}}}'),
        refusal(f'{{{EVENT},"data_base64":"{packed}"}}'),
        refusal(text, headers=HEADERS),
    ]
    assert [facts(each) for each in refused] == [("invalid_field", field, "a")] * len(refused)
    assert {each.message for each in refused} == {f"field `{field}` must be given only once"}


@pytest.mark.parametrize("name", ["data", "source", "traceparent"])
def test_an_event_may_have_an_attribute_only_once(name: str) -> None:
    command = start('"app":"x"')
    second = command if name == "data" else '"y"'
    body = f'{{{EVENT},"traceparent":"x","data":{command},"{name}":{second}}}'
    assert facts(refusal(body)) == ("invalid_field", name, "a")


def test_the_name_of_a_second_attribute_is_shown_short_and_printable() -> None:
    name = json.dumps("\x1b" + "x" * 500)
    attributes = f"{name}:1,{name}:2"
    command = start('"app":null')
    found = refusal(f'{{{EVENT},{attributes},"data":{command}}}')
    assert found.field == "?" + "x" * 99


def test_a_long_path_is_cut() -> None:
    """A body of 1 MiB would otherwise have an outcome and an event of several hundred KiB."""
    name = json.dumps("x" * 500)
    deep = f"{{{name}:" * 900 + '{"a":1,"a":2}' + "}" * 900
    command = start('"app":null')
    found = refusal(f'{{{EVENT},"more":{deep},"data":{command}}}')
    assert found.field == ".".join(["more", *["x" * 100] * 9]) + "…"


@pytest.mark.parametrize("depth", range(900, 1_010, 2))
def test_a_second_field_beside_deep_nesting_is_refused_at_each_depth(depth: int) -> None:
    command = start('"app":null')
    deep = "[" * depth + "]" * depth
    found = refusal(f'{{{EVENT},"more":{deep},"data":{command},"more":1}}')
    assert (found.code, found.command_id) in {("invalid_field", "a"), ("too_deep", "a")}


def test_different_objects_may_have_the_same_fields() -> None:
    both = '"video_config":{"export_file":true},"audio_config":{"export_file":true}'
    body = f'{{"type":"start_recording","id":"a","meeting_id":"{MEETING}",{both}}}'
    assert decode_command(body.encode()).id == "a"


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, "9" * 5000, '[{"a":1},{"a":1}]'])
def test_an_attribute_of_an_event_may_have_any_value(value: str) -> None:
    command = start('"app":"x"')
    assert decode_command(f'{{{EVENT},"more":{value},"data":{command}}}'.encode()).id == "a"
