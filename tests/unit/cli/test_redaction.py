"""The shown part of a message that may hold secrets, also of an invalid message."""

import base64
import json
from typing import Any

import pytest

from worker.cli.redaction import redact_json, redact_unparsed

STORAGE = {
    "type": "sftp",
    "bucket": "mine",
    "region": "eu",
    "path": "/recordings",
    "host": "files.example",
    "port": 22,
    "username": "me",
    "auth_method": "KEY",
    "account_id": "account",
}


def test_harmless_fields_of_a_storage_are_shown() -> None:
    assert redact_json({"storage_config": STORAGE}) == {"storage_config": STORAGE}


@pytest.mark.parametrize("name", ["access_key", "secret", "password", "private_key"])
def test_secret_fields_of_a_storage_are_redacted(name: str) -> None:
    assert redact_json({"storage_config": {name: "hunter2"}}) == {
        "storage_config": {name: "[secure]"}
    }


@pytest.mark.parametrize(
    "value",
    [
        {"storage_config": {"secert": "hunter2"}},
        {"storage_config": {"bucket": {"inner": "hunter2"}}},
        {"storage_config": {"nested": ["hunter2"]}},
        {"storage_config": {"path": "sftp://me:hunter2@files.example/"}},
        {"storage_config": "aws:hunter2"},
        {"storage_config": ["hunter2"]},
        {"storageConfig": {"accessKey": "hunter2"}},
        {"storage": {"credentials": "hunter2"}},
        {"data": [{"Storage-Config": {"pw": "hunter2"}}]},
        {"secret": "hunter2"},
        {"access_key": "hunter2"},
        {"AccessKeyId": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2"}},
        {"rtmp_out_config": {"rtmp_url": "rtmp://live.example/app/hunter2"}},
        {"rtmp_url": "rtmp://live.example/app/hunter2"},
        {"url": "https://me:hunter2@example.com/"},
        {"url": "https://example.com/?token=hunter2"},
        json.dumps({"storage_config": {"secret": "hunter2"}}),
        {"data": json.dumps({"secret": "hunter2"})},
        {"my_storage_config": {"private": "hunter2"}},
        {"pass": "hunter2"},
        {"auth": "hunter2"},
        {"note": "Bearer hunter2hunter2hunter2"},
        {"key_file": "-----BEGIN PRIVATE KEY-----\nhunter2"},
        {"url": "https://example.com/container?sv=1&sig=hunter2"},
        {"url": "https://example.com/file?ticket=hunter2"},
        {"command": "storage_config%5Bs%65cret%5D%3Dhunter2"},
        {"command": "{&quot;s&#101;cret&quot;: &quot;hunter2&quot;}"},
    ],
)
def test_a_misplaced_secret_is_redacted(value: Any) -> None:
    assert "hunter2" not in json.dumps(redact_json(value))


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_in_base64_is_redacted(before: str) -> None:
    command = json.dumps({"storage_config": {"secret": "hunter2"}}).encode()
    text = before + base64.b64encode(command).decode()
    lines = before + base64.encodebytes(command).decode()
    assert redact_json({"data_base64": text}) == {"data_base64": "[secure]"}
    assert redact_unparsed(text) == redact_unparsed(lines) == "[secure]"


@pytest.mark.parametrize(
    "value",
    [
        {"type": "start_track_recording", "user_ids": ["alice"], "max_seconds": 60},
        {"storage_profile": "archive", "storage_config": None},
        {"file_name_prefix": "secret plans", "url": "https://example.com/scene"},
        {"x-original-routing-key": "start_recording", "x-attempts": 2},
        {
            "meeting_id": "97f1f6a2-1111-4222-8333-944455556666",
            "sha256": "9f86d081884c7d659a2feaa0",
        },
        {"file_name_prefix": "a longer name with 100% of its words, which are many"},
        [1, 1.5, None, True, "text"],
    ],
)
def test_harmless_values_are_shown(value: Any) -> None:
    assert redact_json(value) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"storage_config": {"secret": "hunter2"',
        "password=hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2",
        "rtmp://live.example/hunter2",
        '{"secret": "hunter2"}'.encode("utf-16-le").decode("latin-1"),
        '{"s\\u0065cret": "hunter2"',
        "s%65cret=hunter2",
    ],
)
def test_a_text_that_may_hold_a_secret_is_redacted(text: str) -> None:
    assert redact_unparsed(text) == "[secure]"
    assert redact_unparsed(text, safe_form="aHVudGVyMg==") == "[secure]"


def test_any_other_text_is_shown() -> None:
    assert redact_unparsed("start recording please") == "start recording please"
    assert redact_unparsed("\xff\xfe", safe_form="//4=") == "//4="
