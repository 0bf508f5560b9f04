"""Every delivery is settled: random bytes, damaged commands, and invalid properties."""

import asyncio
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_schemas import (
    COMMAND_TYPES,
    Malformed,
    NotAnEvent,
    StartRecording,
    StartTrackRecording,
    decode_command,
    decode_event,
    encode_command,
    encode_event,
    secrets_of,
)
from tests.fault.example_counts import examples
from tests.fault.schema_strategies import values_for
from tests.fault.simulation import SimulatedReplica, Simulation, open_simulation
from worker.broker.messages import Ack, Dead, Delivery, Retry
from worker.store.store import Store

EXAMPLES = Path(__file__).parents[2] / "schemas/examples"
COMMANDS = [path.read_bytes() for path in sorted(EXAMPLES.glob("*_recording.json"))]
SCHEMAS = Path(__file__).parents[2] / "schemas/json"
EVENTS = [path.read_bytes() for path in sorted(EXAMPLES.glob("*.v1.json"))]

# Property values as a broker may hand them on: AMQP's short strings have up to 255 bytes.
SHORT = st.none() | st.text(max_size=60) | st.sampled_from(["\x00", "a\x00b", "x" * 255])
HEADER = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=3)
    | st.sampled_from(["x" * 100_000, b"\xff" * 1000, 10**30, -1])
)
HEADERS = st.dictionaries(
    st.sampled_from(["traceparent", "tracestate", "baggage", "x-delivery-count", "x-attempts"])
    | st.text(max_size=10),
    HEADER,
    max_size=5,
)
CONTENT_TYPES = SHORT | st.sampled_from(
    ["application/json", "application/cloudevents+json", "text/plain", "application/json;;"]
)


@st.composite
def damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A valid message with some of its bytes replaced, left out or doubled."""
    body = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        cut = draw(st.integers(0, 8))
        body[at : at + cut] = draw(st.binary(max_size=8) | st.sampled_from(body.split(b",")))
    return bytes(body)


BODIES = st.binary(max_size=100) | damaged(COMMANDS) | st.sampled_from(COMMANDS)
DELIVERIES = st.builds(
    Delivery,
    body=BODIES,
    routing_key=st.text(max_size=20),
    redelivered=st.booleans(),
    content_type=CONTENT_TYPES,
    message_id=SHORT,
    correlation_id=SHORT,
    reply_to=SHORT,
    headers=HEADERS,
)


class Bench:
    """A world, one replica and a loop to run them, for tests that are not coroutines."""

    def __init__(
        self, runner: asyncio.Runner, world: Simulation, replica: SimulatedReplica
    ) -> None:
        self.run = runner.run
        self.world = world
        self.replica = replica


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("postgresql")
        url = server.new_database()
    with asyncio.Runner() as runner:
        opening = open_simulation()
        world = runner.run(opening.__aenter__())
        store = runner.run(Store.open(url, source="test"))
        yield Bench(runner, world, world.replica(store))
        runner.run(store.close())
        runner.run(opening.__aexit__(None, None, None))


def test_every_delivery_is_settled_and_the_store_stays_consistent(bench: Bench) -> None:
    @settings(max_examples=examples(40), deadline=None)
    @given(DELIVERIES)
    def whatever_comes(delivery: Delivery) -> None:
        settlement = bench.run(bench.replica.path.handle(delivery))
        assert isinstance(settlement, Ack | Retry | Dead)
        if isinstance(settlement, Retry):
            assert settlement.code != "store_unavailable", settlement.reason
        if isinstance(settlement, Dead):
            assert settlement.code
            assert settlement.reason.isprintable()
        bench.run(bench.world.relay(bench.replica.store))

    whatever_comes()
    for message in bench.world.published:
        decode_event(message.body)


@settings(max_examples=examples(150), deadline=None)
@given(damaged(COMMANDS), CONTENT_TYPES, SHORT)
def test_no_damaged_command_raises_anything_but_malformed(
    body: bytes, content_type: str | None, message_id: str | None
) -> None:
    try:
        command_id = decode_command(body, content_type=content_type, message_id=message_id).id
    except Malformed as malformed:
        command_id = malformed.command_id or ""
    assert "\x00" not in command_id


@settings(max_examples=examples(100), deadline=None)
@given(st.binary(max_size=100) | damaged(EVENTS))
def test_no_damaged_event_raises_anything_but_not_an_event(body: bytes) -> None:
    with suppress(NotAnEvent):
        assert decode_event(body).id


# Unusual values that the published schemas allow


def written(value: dict[str, Any], escaped: bool) -> bytes:
    """As JSON in UTF-8, or `escaped`: in ASCII, with spaces between."""
    return json.dumps(value, indent=1 if escaped else None, ensure_ascii=escaped).encode()


LARGE_SCHEMA_BYTES = 7_000


def examples_for(path: Path) -> int:
    """The number of examples, enough for nearly every kind of value of each field."""
    return examples(40 if path.stat().st_size > LARGE_SCHEMA_BYTES else 20)


def published(path: Path) -> st.SearchStrategy[dict[str, Any]]:
    schema = json.loads(path.read_bytes())
    return values_for(schema, schema)


@pytest.mark.parametrize("name", COMMAND_TYPES)
def test_every_value_that_a_command_schema_accepts_decodes_and_encodes_again(name: str) -> None:
    path = SCHEMAS / f"{name}.json"

    @settings(max_examples=examples_for(path), deadline=None)
    @given(published(path), st.booleans())
    def whatever_is_valid(document: dict[str, Any], escaped: bool) -> None:
        body = written(document, escaped)
        try:
            command = decode_command(body, message_id="m")
        except Malformed as malformed:
            if malformed.field == "deadline":  # its pattern does not know the calendar
                return
            raise
        assert command.id == document.get("id", "m")
        assert decode_command(encode_command(command)) == command
        assert all(secrets_of(command))
        if isinstance(command, StartRecording | StartTrackRecording):
            sent = json.loads(written(command.body(), escaped))
            # The API gets ids in lower case.
            assert sent.items() <= {**document, "meeting_id": command.meeting_id}.items()
            assert command.meeting_id == document["meeting_id"].lower()

    whatever_is_valid()


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.v1.json")), ids=lambda path: path.name)
def test_every_value_that_an_event_schema_accepts_decodes_and_encodes_again(path: Path) -> None:
    @settings(max_examples=examples_for(path), deadline=None)
    @given(published(path), st.booleans())
    def whatever_is_valid(document: dict[str, Any], escaped: bool) -> None:
        event = decode_event(written(document, escaped))
        again = encode_event(
            event.data,
            id=event.id,
            source=event.source,
            subject=event.subject,
            time=event.time,
            sequence=event.sequence or None,
        )
        assert decode_event(again) == event

    whatever_is_valid()


# The cost, counted in requests and statements


MAX_BYTES = 1_000_000


def _nested(opening: bytes, closing: bytes) -> bytes:
    times = MAX_BYTES // (len(opening) + len(closing))
    return opening * times + closing * times


HOSTILE = {
    "deep lists": _nested(b"[", b"]"),
    "deep objects": _nested(b'{"a":', b"}"),
    "many fields": b"{" + b",".join(b'"m%d":1' % n for n in range(90_000)) + b"}",
    "the same field many times": b'{"type":"x"' + b',"type":"x"' * 90_000 + b"}",
    "a long number": b'{"id":' + b"9" * MAX_BYTES + b"}",
    "a long text": b'{"id":"' + b"x" * MAX_BYTES + b'"}',
    "escapes": b'{"id":"' + b"\\u0041" * (MAX_BYTES // 6) + b'"}',
    "many users": b'{"type":"start_track_recording","id":"x","user_ids":['
    + b",".join([b'"u"'] * 200_000)
    + b"]}",
    "deep secrets": b'{"type":"start_recording","id":"x","storage_config":'
    + _nested(b'{"secret":', b"}")
    + b"}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=list(HOSTILE))
def test_the_largest_body_costs_a_bounded_amount_of_memory_and_work(body: bytes) -> None:
    calls = itertools.count()
    tracemalloc.start()
    sys.setprofile(lambda _frame, event, _arg: next(calls) if event == "call" else None)
    refusal: Malformed | None = None
    try:
        decode_command(body, content_type=None, message_id="m")
    except Malformed as malformed:
        refusal = malformed
    finally:
        sys.setprofile(None)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert refusal is not None
    assert len(refusal.message) < 1_000
    assert peak < 40 * MAX_BYTES
    assert next(calls) < 20_000, "the work grows with every field"


def test_delivery_headers_of_a_wrong_type_are_ignored() -> None:
    @settings(max_examples=examples(100), deadline=None)
    @given(HEADERS, st.booleans())
    def whatever_headers(headers: dict[str, Any], redelivered: bool) -> None:
        delivery = Delivery(body=b"", routing_key="", headers=headers, redelivered=redelivered)
        assert isinstance(delivery.redelivery_count, int)
        msgspec.json.encode(delivery.trace)
        assert all(len(value) <= 8192 for value in delivery.trace.values())

    whatever_headers()
