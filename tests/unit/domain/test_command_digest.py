"""What counts as the same body of a command id."""

import gzip
import json
from typing import Any

import pytest

from recording_schemas import decode_command
from worker.domain.command_digest import command_digest

Fields = dict[str, Any]
MEETING = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
TRACK: Fields = {
    "type": "start_track_recording",
    "id": "start-1",
    "meeting_id": MEETING,
    "user_ids": ["alice", "bob"],
    "max_seconds": 60,
    "metadata": {"case": "1", "team": "support"},
    "layers": {"default": {"media_kind": "audio", "file_name_prefix": "weekly"}},
}
STORAGE: Fields = {
    "type": "sftp",
    "host": "sftp.example.com",
    "port": 22,
    "path": "meetings",
    "auth_method": "PASSWORD",
    "username": "recorder",
    "password": "hush",
}
MIX: Fields = {
    "type": "start_recording",
    "id": "mix-1",
    "meeting_id": MEETING,
    "storage_config": STORAGE,
    "rtmp_out_config": {"rtmp_url": "rtmp://live.example.com/app/key"},
}
STOP: Fields = {"type": "stop_recording", "id": "stop-1", "meeting_id": MEETING}
PINNED = {
    "start_track_recording": "b75ec1cba1c2df14eac9720a1541a12b",
    "start_recording": "67e4e09dfeb588a4a4b059d77b180501",
    "stop_recording": "eb6cc67e5611d45d18bfb5af335eeaf3",
}
CLOUD_EVENT = {"specversion": "1.0", "type": "com.example.command", "source": "/tests", "id": "e-1"}


def digest(fields: Fields) -> str:
    return digest_of(json.dumps(fields).encode())


def digest_of(body: bytes, **properties: Any) -> str:
    return command_digest(decode_command(body, message_id="m-1", **properties))


@pytest.mark.parametrize("fields", [TRACK, MIX, STOP], ids=lambda fields: fields["type"])
def test_the_digests_that_databases_have_are_those_of_this_version(fields: Fields) -> None:
    assert digest(fields) == PINNED[fields["type"]]


@pytest.mark.parametrize("fields", [TRACK, MIX, STOP], ids=lambda fields: fields["type"])
def test_the_form_of_the_message_does_not_count(fields: Fields) -> None:
    backwards = dict(reversed(fields.items()))
    binary = {f"cloudEvents:{name}": value for name, value in CLOUD_EVENT.items()}
    body = json.dumps(fields).encode()
    forms = [
        digest(backwards),
        digest_of(json.dumps(fields, indent=4).encode()),
        digest_of(b"\xef\xbb\xbf" + body),
        digest_of(gzip.compress(body), content_encoding="gzip"),
        digest(CLOUD_EVENT | {"data": fields}),
        digest_of(body, headers=binary),
        digest({name: value for name, value in fields.items() if name != "id"}),
    ]
    assert set(forms) == {digest(fields)}


@pytest.mark.parametrize(
    "same",
    [
        {"deadline": "2036-01-01T10:05:00Z"},
        {"deadline": None},
        {"app": None},
        {"id": "another"},
        {"max_seconds": 60.0},
        {"metadata": {"team": "support", "case": "1"}},
        {"user_ids": ["bob", "alice", "bob"]},
    ],
    ids=str,
)
def test_parts_that_do_not_change_the_execution_do_not_count(same: Fields) -> None:
    assert digest(TRACK | same) == digest(TRACK)


@pytest.mark.parametrize(
    "other",
    [
        {"type": "start_recording"},
        {"user_ids": ["alice"]},
        {"user_ids": ["alice", "bo", "b"]},
        {"custom_participant_ids": ["carol"]},
        {"meeting_id": "0c8f1f6f-6a51-4f0a-9d5e-2f1b7c3e9b01"},
        {"max_seconds": 61},
        {"wait_for_session": True},
        {"app": "eu"},
        {"metadata": {"case": "2", "team": "support"}},
        {"metadata": None},
        {"layers": {"default": {"file_name_prefix": "daily"}}},
    ],
    ids=str,
)
def test_a_field_that_changes_the_execution_counts(other: Fields) -> None:
    fields = TRACK | other
    if fields["type"] == "start_recording":
        fields = {name: fields[name] for name in ("type", "id", "meeting_id")}
    assert digest(fields) != digest(TRACK)


def test_a_list_that_is_left_out_counts() -> None:
    everybody = {name: value for name, value in TRACK.items() if name != "user_ids"}
    assert digest(everybody) != digest(TRACK)


def test_the_same_ids_in_the_other_list_of_people_count_as_others() -> None:
    custom = {"custom_participant_ids": TRACK["user_ids"]}
    everybody = {name: value for name, value in TRACK.items() if name != "user_ids"}
    assert digest(everybody | custom) != digest(TRACK)


@pytest.mark.parametrize("secret", ["password", "access_key", "secret", "private_key"])
def test_secrets_of_a_storage_do_not_count(secret: str) -> None:
    storage = STORAGE | {secret: "a guess"}
    assert digest(MIX | {"storage_config": storage}) == digest(MIX)


def test_the_address_of_a_stream_does_not_count_because_it_has_the_key() -> None:
    other = {"rtmp_url": "rtmp://live.example.com/app/another-key"}
    assert digest(MIX | {"rtmp_out_config": other}) == digest(MIX)


@pytest.mark.parametrize(
    "other", [{"host": "other.example.com"}, {"port": 2222}, {"path": "x"}, {"username": "x"}]
)
def test_the_place_of_a_storage_counts(other: Fields) -> None:
    assert digest(MIX | {"storage_config": STORAGE | other}) != digest(MIX)
