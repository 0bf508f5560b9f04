"""A copy keeps the properties that may be sent again, and fits the frame."""

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.broker.aiormq.message_encoder import encoded_properties
from worker.broker.headers import with_trusted_headers
from worker.broker.message_copy import MessageCopy, copy_of
from worker.broker.messages import Delivery, Outgoing, Retry
from worker.broker.properties import HEADERS, MESSAGE_ID, USER_ID, joined_table, split_table
from worker.broker.settlement import headers_of_retry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
QUEUE = "recording.commands"
FROM_RETRY = [{"queue": "recording.commands.retry.5s", "reason": "expired"}]


def delivery(headers: dict[str, object] | None = None, **fields: Any) -> Delivery:
    return Delivery(**{"body": b"", "routing_key": QUEUE, "headers": headers or {}} | fields)


def copied(original: Delivery, **options: Any) -> MessageCopy:
    return copy_of(original, code="busy", reason="not now", now=NOON, **options)


NOT_SENT_ON = {b"CC", b"BCC", b"x-death", b"x-first-death-queue", b"x-attempts"}
"""Headers that are not the publisher's, or that the broker would act on."""
OF_PUBLISHERS = {b"x-", b"x-request-id", b"cc", b"x-deaths", b"x-first-death-toll"}
NAMES = st.sampled_from(sorted(NOT_SENT_ON | OF_PUBLISHERS)) | st.binary(max_size=255).filter(
    lambda name: not name.startswith(b"x-")
)


@given(
    entries=st.lists(st.tuples(NAMES, st.binary(max_size=600)), max_size=30),
    frame_bytes=st.sampled_from([4088, 8184, 131_064]),
    reason=st.text(max_size=3000),
)
def test_a_copy_fits_the_frame(
    entries: list[tuple[bytes, bytes]], frame_bytes: int, reason: str
) -> None:
    table = joined_table(
        (name, b"S" + struct.pack(">I", len(value)) + value) for name, value in entries
    )
    longest_text = b"\xff" + b"k" * 255
    properties = {HEADERS: table, MESSAGE_ID: longest_text, USER_ID: longest_text}
    original = delivery(routing_key="k" * 255, properties=properties)
    copy = copy_of(original, code="c", reason=reason, now=NOON, max_frame_bytes=frame_bytes)
    message = Outgoing(
        exchange="", routing_key="", body=b"", original=copy.properties, headers=copy.headers
    )
    assert len(encoded_properties(message)) <= frame_bytes - 12
    kept = [name for name, _ in split_table(copy.properties.get(HEADERS, b""))[0]]
    dropped = copy.headers.get("x-dropped-headers", 0)
    assert len(kept) + int(str(dropped)) == sum(name not in NOT_SENT_ON for name, _ in entries)


@pytest.mark.parametrize("user", ["worker", None])
def test_only_the_workers_own_user_id_stays_a_property(user: str | None) -> None:
    copy = copied(delivery(properties={USER_ID: b"\x06worker"}), own_user=user)
    assert (USER_ID in copy.properties) == (user == "worker")
    assert copy.headers["x-original-user-id"] == "worker"


@pytest.mark.parametrize(
    ("first_seen", "copied_time"),
    [
        ("2026-01-01T11:00:00+00:00", "2026-01-01T11:00:00.000+00:00"),
        ("2026-01-01T13:00:00+00:00", "2026-01-01T12:00:00.000+00:00"),
        ("0001-01-01T00:00:00+14:00", "2026-01-01T12:00:00.000+00:00"),
        ("soon", "2026-01-01T12:00:00.000+00:00"),
    ],
)
def test_the_time_of_the_first_delivery_is_never_in_the_future(
    first_seen: str, copied_time: str
) -> None:
    copy = copied(delivery({"x-first-seen": first_seen}))
    assert copy.headers["x-first-seen"] == copied_time


ACCOUNT: dict[str, object] = {"x-attempts": 3, "x-death": FROM_RETRY}


def test_a_message_that_the_broker_moved_from_a_retry_queue_is_trusted() -> None:
    assert with_trusted_headers(delivery(ACCOUNT), QUEUE).attempts == 3


@pytest.mark.parametrize(
    "forged",
    [
        delivery(ACCOUNT, exchange=QUEUE),
        delivery(ACCOUNT, exchange=QUEUE, routing_key="start_recording"),
        delivery(ACCOUNT, routing_key="recording.commands.other"),
        delivery({"x-attempts": 3}),
        delivery({"x-attempts": 3, "x-death": [{"queue": "other.retry.5s"}]}),
        delivery({"x-attempts": 3, "x-death": [{"queue": QUEUE}]}),
        delivery({"x-attempts": 3, "x-death": {"queue": f"{QUEUE}.retry.5s"}}),
        delivery({"x-attempts": 3, "x-death": [7, [f"{QUEUE}.retry.5s"], {}]}),
        delivery({"x-attempts": 3, "x-death": f"{QUEUE}.retry.5s"}),
    ],
)
def test_without_the_brokers_proof_the_worker_ignores_its_own_headers(forged: Delivery) -> None:
    assert with_trusted_headers(forged, QUEUE).attempts == 0


def test_headers_that_are_not_the_workers_stay() -> None:
    headers: dict[str, object] = {"traceparent": "00-1", "x-mine": 1, "x-replays": 2}
    assert with_trusted_headers(delivery(headers, exchange=QUEUE), QUEUE).headers == headers


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        ("00-1", {"traceparent": "00-1"}),
        (bytearray(b"00-1"), {"traceparent": "00-1"}),
        (bytearray(b"\xff"), {}),
        (b"S\xff", {}),
        (7, {}),
        ("x" * 9000, {}),
    ],
)
def test_a_trace_may_be_a_text_or_a_byte_array(value: object, trace: dict[str, str]) -> None:
    assert delivery({"traceparent": value}).trace == trace


@pytest.mark.parametrize(
    ("first_seen", "expected"), [(None, {"x-called-at"}), (NOON, {"x-first-seen"})]
)
def test_a_retry_keeps_the_time_of_a_call_until_the_command_is_parked(
    first_seen: float | None, expected: set[str]
) -> None:
    """Only the retry of a parked command lets its age begin again."""
    retried = delivery({"x-called-at": "2026-01-01T11:00:00+00:00", "x-death": FROM_RETRY})
    retry = Retry(delay_seconds=5.0, code="c", reason="r", first_seen=first_seen)
    assert headers_of_retry(retried, retry).keys() == expected
    assert "x-called-at" not in copied(retried).headers
