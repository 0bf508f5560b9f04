"""Which dead letters are meant, and what is told of them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from worker.__main__ import main
from worker.broker.admin.dead_letter_queue import DeadLetter
from worker.broker.admin.dead_letter_reason import DeadLetterReason
from worker.cli.dead.letter import DeadLetterView, Selection, made_out, row, with_new_id

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
RECORDING = "97f1f6a2-1111-4222-8333-944455556666"
SYNC = msgspec.json.encode({"type": "sync_recording", "id": "one", "recording_id": RECORDING})


def dead(body: bytes = SYNC, *, most_bytes: int = 1000, **given: Any) -> DeadLetterView:
    burial = DeadLetterReason(
        by=given.pop("by", "worker"),
        code=given.pop("code", "invalid_member"),
        first_seen=given.pop("first_seen", None),
        last_seen=given.pop("last_seen", None),
    )
    fresh: dict[str, Any] = {"position": 1, "tag": 1, "routing_key": "key", **given}
    return made_out(DeadLetter(body=body, reason=burial, **fresh), most_bytes)


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(), True),
        (Selection(handles=frozenset(["one", "two"])), True),
        (Selection(handles=frozenset(["two"])), False),
        (Selection(reasons=frozenset(["invalid_member"])), True),
        (Selection(reasons=frozenset(["crashed"])), False),
        (Selection(types=frozenset(["sync_recording"])), True),
        (Selection(types=frozenset(["unknown"])), False),
        (Selection(reasons=frozenset(["invalid_member"]), types=frozenset(["unknown"])), False),
        (Selection(fingerprints=frozenset()), False),
        (Selection(fingerprints=frozenset([dead().fingerprint])), True),
    ],
)
def test_a_letter_is_meant_when_all_that_was_said_fits(selection: Selection, meant: bool) -> None:
    assert selection.matches(dead()) is meant


@pytest.mark.parametrize(
    ("times", "meant"),
    [
        ({"last_seen": NOON.replace(hour=11), "first_seen": NOON.replace(hour=10)}, True),
        ({"last_seen": NOON.replace(hour=13), "first_seen": NOON.replace(hour=10)}, False),
        ({"last_seen": NOON}, False),
        ({"first_seen": NOON.replace(hour=11)}, True),
        ({}, False),
    ],
)
def test_before_is_about_the_time_of_burial_else_the_first_one(
    times: dict[str, Any], meant: bool
) -> None:
    assert Selection(before=NOON).matches(dead(**times)) is meant


def test_a_letter_without_an_id_is_named_by_its_fingerprint() -> None:
    one = dead(b"{")

    assert one.command_id is None
    assert one.handle == one.fingerprint[:12]


def test_the_name_outlives_another_look_at_the_letter() -> None:
    again = dead(b"{", position=7, tag=9, headers={"x-delivery-count": 3})

    assert again.handle == dead(b"{").handle


def test_what_is_too_large_for_workers_is_not_read_here_either() -> None:
    one = dead(most_bytes=10, message_id="two")

    assert (one.command_id, one.command_type) == ("two", "unknown")


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ({}, True),
        ({"code": "crashed"}, True),
        ({"by": "broker", "code": "delivery_limit"}, False),
        ({"by": "unknown", "code": "unknown"}, False),
        ({"code": "missing_id", "message_id": "made-up"}, False),
        ({"body": b"{"}, False),
    ],
)
def test_a_letter_is_answered_when_workers_told_an_outcome_of_its_id(
    given: dict[str, Any], answered: bool
) -> None:
    assert row(dead(**given))["answered"] is answered


def test_without_its_body_a_letter_is_still_told_of_in_full() -> None:
    assert row(dead().without_body()) == row(dead())


def test_a_new_id_replaces_the_one_that_counts() -> None:
    letter = with_new_id(dead(message_id="one"), "two")

    assert msgspec.json.decode(letter.body)["id"] == "two"
    assert made_out(letter, 1000).command_id == "two"
    assert letter.headers["x-replay-of"] == "one"


@pytest.mark.parametrize(
    "arguments",
    [(), ("one", "--all"), ("one", "--reason", "x"), ("--all", "--type", "stop_recording")],
)
@pytest.mark.parametrize("what", ["replay", "drop"])
def test_which_letters_must_be_said_in_one_way(
    what: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead", what, *arguments])

    assert ended.value.code == 2
    assert "--all" in capsys.readouterr().err
