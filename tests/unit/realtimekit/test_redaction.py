"""What counts as a secret, and that no trace of it is left."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.realtimekit.redaction import redact, secrets_in


@pytest.mark.parametrize(
    "field",
    ["access_key", "secret", "password", "private_key", "username", "account_id", "new_tomorrow"],
)
def test_every_storage_field_that_is_not_known_as_harmless_is_a_secret(field: str) -> None:
    assert secrets_in({"storage_config": {"type": "aws", field: "value"}}) == ("value",)


@pytest.mark.parametrize("field", ["type", "bucket", "region", "path", "host", "auth_method"])
def test_the_location_of_a_storage_is_no_secret(field: str) -> None:
    assert secrets_in({"storage_config": {field: "value"}}) == ()


def test_the_key_in_an_rtmp_target_is_a_secret_by_itself() -> None:
    url = "rtmp://live.example/app-one/key-to-the-stream"
    assert secrets_in({"rtmp_out_config": {"rtmp_url": url}}) == (
        url,
        "app-one",
        "key-to-the-stream",
    )


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"storage_config": None},
        {"storage_config": "x"},
        {"storage_config": {"secret": None, "port": 22}},
        {"rtmp_out_config": {}},
    ],
)
def test_a_body_may_have_no_secret(body: dict[str, object] | None) -> None:
    assert secrets_in(body) == ()


def test_a_secret_within_a_secret_leaves_no_remainder() -> None:
    assert redact("my abcdef!", ("abc", "abcdef")) == "my [secure]!"


@given(st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), min_size=8))
def test_no_secret_is_left_in_any_of_its_encodings(secret: str) -> None:
    as_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    for form in (secret, *as_json, quote(secret, safe="")):
        assert redact(f"<{form}>", [secret]) == "<[secure]>"
