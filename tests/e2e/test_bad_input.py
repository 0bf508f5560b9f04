"""A message that is not a command becomes a dead letter, unchanged, and the worker continues."""

import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple

import aio_pika
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractQueue
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import CommandRejected, CommandSucceeded
from tests.e2e.worker_environment import (
    EVENT_TIMEOUT_SECONDS,
    WorkerEnvironment,
    open_worker_environment,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAME = 100_000
MEETING = str(uuid.UUID(int=9))
GOOD: dict[str, Any] = {"type": "start_track_recording", "id": "bad", "meeting_id": MEETING}


class InvalidMessage(NamedTuple):
    """A message to publish and the expected reason; without a `field` no id can be found."""

    body: bytes
    code: str
    field: str | None = None
    content_type: str | None = "application/json"
    message_id: str | None = None


def command(**fields: Any) -> bytes:
    return json.dumps(GOOD | fields).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


LAYERS = {"default": {"media_kind": "video"}}
KINDS = {
    "not JSON": InvalidMessage(b"start recording, please", "not_json"),
    "not UTF-8": InvalidMessage(b'{"type": "\xff\xfe"}', "not_utf8"),
    "nothing at all": InvalidMessage(b"", "not_json"),
    "not an object": InvalidMessage(b'["start_track_recording"]', "not_an_object"),
    "nested too deeply": InvalidMessage(b'{"a":' * 100_000, "too_deep"),
    "no id anywhere": InvalidMessage(without("id"), "missing_id"),
    "not JSON, with a message id": InvalidMessage(b"{", "not_json", "not JSON", message_id="bad"),
    "no type": InvalidMessage(without("type"), "missing_type", "type"),
    "an unknown type": InvalidMessage(command(type="start_dancing"), "unknown_type", "type"),
    "a required field missing": InvalidMessage(
        without("meeting_id"), "missing_field", "meeting_id"
    ),
    "a number for a text": InvalidMessage(command(meeting_id=7), "invalid_field", "meeting_id"),
    "an unknown field": InvalidMessage(command(user_idz=["a"]), "unknown_field", "user_idz"),
    "101 user ids": InvalidMessage(command(user_ids=["u"] * 101), "invalid_field", "user_ids"),
    "a word not in the list": InvalidMessage(
        command(layers=LAYERS), "invalid_field", "layers.default.media_kind"
    ),
    "the wrong content type": InvalidMessage(
        command(), "wrong_content_type", "content type", content_type="text/plain"
    ),
    "5 MB": InvalidMessage(
        command(user_ids=["u" * 5_000_000]),
        "too_large",
        "1048576",
        message_id="bad",
    ),
}


class Bench(NamedTuple):
    """A worker, a channel to publish on, the dead-letter queue, and the ids that messages had so
    far."""

    environment: WorkerEnvironment
    channel: Channel
    exchange: str
    dead: AbstractQueue
    identified: set[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    rabbitmq: RabbitMQNode, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    prefix = f"bad-{uuid.uuid4().hex[:8]}"
    async with open_worker_environment(
        rabbitmq.amqp_url, prefix, tmp_path_factory.mktemp("bad")
    ) as begun:
        connection = await aio_pika.connect(rabbitmq.amqp_url)
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            underlay = await channel.get_underlay_channel()
            assert isinstance(underlay, Channel)
            yield Bench(
                begun,
                underlay,
                f"{prefix}.commands",
                await channel.get_queue(f"{prefix}.commands.dead"),
                identified=set(),
            )


async def publish(bench: Bench, body: bytes, properties: Basic.Properties) -> None:
    """Publish with exactly these properties. The library would add a missing message id."""
    pieces = [ContentBody(body[at : at + FRAME]) for at in range(0, len(body), FRAME)]
    frames: list[Frame | ContentHeader | ContentBody] = [
        Basic.Publish(exchange=bench.exchange, routing_key="anything"),
        ContentHeader(properties=properties, body_size=len(body)),
        *pieces,
    ]
    number = bench.channel.number
    await bench.channel.write_queue.put(ChannelFrame.marshall(number, frames))


@pytest.mark.parametrize("kind", KINDS)
async def test_bad_input_becomes_a_dead_letter_with_a_reason_and_is_rejected_if_it_has_an_id(
    bench: Bench, kind: str, eventually: Eventually
) -> None:
    bad = KINDS[kind]
    command_id = f"bad-{uuid.uuid4().hex[:8]}"
    body = bad.body.replace(b'"id": "bad"', f'"id": "{command_id}"'.encode())
    properties = Basic.Properties(
        content_type=bad.content_type, message_id=bad.message_id and command_id
    )
    await publish(bench, body, properties)

    letter = await eventually(
        lambda: bench.dead.get(no_ack=True, fail=False),
        seconds=EVENT_TIMEOUT_SECONDS,
        description="a dead letter",
    )
    assert letter is not None
    assert letter.body == body
    assert letter.content_type == bad.content_type
    assert letter.headers["x-reason-code"] == bad.code
    assert (bad.field or "") in str(letter.headers["x-reason"])
    assert letter.headers["x-attempts"] == 1
    assert datetime.fromisoformat(str(letter.headers["x-first-seen"])).tzinfo is not None
    if bad.field is not None:
        bench.identified.add(command_id)
        data = (await bench.environment.outcome(command_id)).data
        assert isinstance(data, CommandRejected)
        assert data.code == bad.code
        assert bad.field in f"{data.field} {data.message}"


async def test_a_body_that_no_memory_is_spent_on_is_a_dead_letter_and_answered_once(
    bench: Bench, eventually: Eventually
) -> None:
    command_id = f"large-{uuid.uuid4().hex[:8]}"
    bench.identified.add(command_id)
    body = b"x" * 9_000_000
    await publish(bench, body, Basic.Properties(message_id=command_id))
    letter = await eventually(
        lambda: bench.dead.get(no_ack=True, fail=False),
        seconds=EVENT_TIMEOUT_SECONDS,
        description="a dead letter",
    )
    assert letter is not None
    assert (letter.body == body, letter.message_id) == (True, command_id)
    outcome = await bench.environment.outcome(command_id)
    assert isinstance(outcome.data, CommandRejected)
    assert outcome.data.code == "too_large"


async def test_after_bad_input_the_worker_continues_and_sent_no_request_to_the_api(
    bench: Bench,
) -> None:
    # The events of the tests before this one: with several processes, only some of them ran here.
    subjects = [event.subject for event in bench.environment.messages.events]
    assert sorted(subjects) == sorted(bench.identified)
    await bench.environment.start("good")
    assert isinstance((await bench.environment.outcome("good")).data, CommandSucceeded)
    assert len(bench.environment.requests("start_track_recording")) == 1
