"""A dead letter is decoded as a worker decodes it, and keeps one name."""

import base64
import gzip
from typing import Any

import msgspec
import pytest

from tests.unit.cli.dead.letters import SYNC, letter
from worker.cli.dead.format import letter_details, letter_row, print_result
from worker.cli.dead.letter import decode_letter, with_new_id


def test_a_letter_without_an_id_is_named_by_its_fingerprint() -> None:
    decoded = letter(b"{")

    assert decoded.command_id is None
    assert decoded.handle == decoded.fingerprint[:12]


def test_the_name_of_a_letter_survives_another_delivery() -> None:
    again = letter(b"{", position=7, tag=9, headers={"x-delivery-count": 3})

    assert again.handle == letter(b"{").handle


def test_a_body_that_is_too_large_for_workers_is_not_decoded() -> None:
    decoded = letter(max_bytes=10, message_id="two")

    assert (decoded.command_id, decoded.command_type) == ("two", "unknown")


@pytest.mark.parametrize(
    ("fields", "has_outcome"),
    [
        ({}, True),
        ({"code": "unknown_type"}, True),
        ({"by": "broker", "code": "delivery_limit"}, True),
        ({"by": "broker", "code": "expired", "body": b"{"}, False),
        ({"by": "unknown", "code": "unknown"}, False),
        ({"code": "missing_id", "message_id": "made-up"}, False),
        ({"body": b"{"}, False),
    ],
)
def test_a_letter_has_an_outcome_when_it_has_an_id_and_died_by_a_worker_or_the_broker(
    fields: dict[str, Any], has_outcome: bool
) -> None:
    assert letter_row(letter(**fields))["has_outcome"] is has_outcome


def test_a_letter_without_its_body_has_the_same_row() -> None:
    assert letter_row(letter().without_body()) == letter_row(letter())


def test_a_new_id_replaces_the_id_in_the_body() -> None:
    renamed = with_new_id(letter(message_id="one"), "two")

    assert msgspec.json.decode(renamed.body)["id"] == "two"
    assert decode_letter(renamed, 1000).command_id == "two"
    assert renamed.added_headers["x-replay-of"] == "one"


PACKED = gzip.compress(SYNC)


def test_a_packed_letter_is_decoded_and_gets_its_new_id_within_its_packing() -> None:
    packed = letter(PACKED, content_encoding="gzip")
    assert packed.command_id == "one"

    renamed = with_new_id(packed, "two")

    assert msgspec.json.decode(gzip.decompress(renamed.body))["id"] == "two"
    assert decode_letter(renamed, 1000).command_id == "two"


def test_a_new_id_replaces_the_id_in_the_base64_data_of_a_cloudevent() -> None:
    event = {"specversion": "1.0", "id": "event-id", "source": "/x", "type": "y"}
    body = msgspec.json.encode(event | {"data_base64": base64.b64encode(SYNC).decode()})

    renamed = with_new_id(letter(body), "two")

    assert decode_letter(renamed, 1000).command_id == "two"
    assert msgspec.json.decode(renamed.body).keys() == {*event, "data"}


@pytest.mark.parametrize("form", ["%s", '{"specversion":"1.0","data":%s}', "base64"])
def test_a_letter_that_has_a_field_twice_gets_no_new_id(form: str) -> None:
    """The copy would have only one of them, and be executed."""
    twice = SYNC.replace(b"{", b'{"app":"x","app":"y",', 1).decode()
    packed = base64.b64encode(twice.encode()).decode()
    body = f'{{"specversion":"1.0","data_base64":"{packed}"}}' if form == "base64" else form % twice

    with pytest.raises(ValueError, match=r"`(data\.)?app` must be given only once"):
        with_new_id(letter(body.encode()), "two")


def test_a_letter_in_binary_mode_is_named_by_the_id_of_its_event() -> None:
    attributes = {"specversion": "1.0", "id": "event-id", "source": "/x", "type": "y"}
    headers = {f"cloudEvents:{name}": value for name, value in attributes.items()}
    body = SYNC.replace(b'"id":"one",', b"")
    assert letter(body, headers=headers, message_id="m").command_id == "event-id"


SECRET = msgspec.json.encode({"type": "start_recording", "storage_config": {"secret": "hunter2"}})


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(SECRET), "gzip"),
        (gzip.compress(SECRET)[:-3], "gzip"),
        (gzip.compress(SECRET), "br"),
        (b"\xef\xbb\xbf" + SECRET, None),
    ],
    ids=["gzip", "cut off", "another encoding", "byte order mark"],
)
def test_the_secret_of_a_packed_letter_is_shown_raw_only(body: bytes, encoding: str | None) -> None:
    packed = letter(body, content_encoding=encoding)
    shown = msgspec.json.encode(letter_details(packed, raw=False)["body"])
    assert b"hunter2" not in shown
    assert base64.b64encode(body[:12]) not in shown
    raw = letter_details(packed, raw=True)
    assert raw["body"] in {base64.b64encode(body).decode(), body.decode(errors="replace")}


@pytest.mark.parametrize("sent_before", [True, False, None])
def test_a_replay_says_whether_workers_had_the_new_id_before(
    sent_before: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"result": "replayed", "command_type": "start_recording", "letter": "one"}
    replayed = {"reason_code": "crashed", "new_command_id": "new", "sent_before": sent_before}
    print_result({**row, **replayed})
    line = capsys.readouterr().out.rstrip("\n")
    assert line.startswith("Replayed start_recording one (crashed) as new")
    assert ("not executed a second time" in line) is bool(sent_before)
