"""Messages as RabbitMQ delivers them, from property bytes and body to an executed command."""

import gzip

from tests.integration.command_bench import CommandBench
from worker.broker.aiormq.delivery_decoder import BODY, DELIVER, HEADER, METHOD, DeliveryAssembler
from worker.broker.messages import Ack, Dead, Delivery

MEETING = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
JSON_FLAGS = "8000106170706c69636174696f6e2f6a736f6e"
"""The content type, application/json, and nothing else."""

BINARY_EVENT = (
    "a080106170706c69636174696f6e2f6a736f6e0000008017636c6f75644576656e74733a7370656376657273696f6e"
    "5300000003312e300e636c6f75644576656e74733a696453000000076f726465722d3112636c6f75644576656e7473"
    "3a736f7572636553000000022f7810636c6f75644576656e74733a74797065530000001573746172745f747261636b"
    "5f7265636f7264696e672434353539666666632d643637332d346432362d393630352d623031373937636437386537"
)
"""CloudEvents' attributes as headers, with the id order-1, and a random message id."""

GZIP = (
    "dea8106170706c69636174696f6e2f6a736f6e04677a6970020506636f72722d310a5245504c59515545554504677a"
    "2d310e53746172745265636f7264696e670f62696c6c696e672d73657276696365"
)
"""content_encoding gzip, priority 5, type, app id, a reply queue, the message id gz-1."""


def delivered(properties: str, body: bytes) -> Delivery:
    deliveries: list[Delivery] = []
    assembler = DeliveryAssembler(lambda _tag, delivery: deliveries.append(delivery))
    announcement = DELIVER + b"\x01c" + (1).to_bytes(8, "big") + b"\0" + b"\x01x" + b"\x03key"
    assembler.accept(METHOD, announcement)
    header = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + bytes.fromhex(properties)
    assembler.accept(HEADER, header)
    assembler.accept(BODY, body)
    (delivery,) = deliveries
    return delivery


def start(command_id: str | None = None, more: str = "") -> bytes:
    identity = "" if command_id is None else f'"id": "{command_id}", '
    text = f'{{"type": "start_track_recording", {identity}"meeting_id": "{MEETING}"{more}}}'
    return text.encode()


async def test_an_event_in_binary_mode_is_executed_once_under_its_own_id(
    bench: CommandBench,
) -> None:
    first = delivered(BINARY_EVENT, start())
    assert await bench.handler.handle(first) == Ack()
    again = delivered(BINARY_EVENT.replace("34353539666666", "34353539666665"), start())
    assert again.message_id != first.message_id
    assert await bench.handler.handle(again) == Ack()
    assert len(bench.started()) == 1
    outcomes = await bench.outcomes("order-1")
    assert {outcome["type"] for outcome in outcomes} == {"command.succeeded.v1"}


async def test_a_packed_body_is_executed(bench: CommandBench) -> None:
    assert await bench.handler.handle(delivered(GZIP, gzip.compress(start("gz-1")))) == Ack()
    assert (await bench.outcome("gz-1"))["type"] == "command.succeeded.v1"


async def test_a_body_with_a_byte_order_mark_is_executed(bench: CommandBench) -> None:
    assert await bench.handler.handle(delivered(JSON_FLAGS, b"\xef\xbb\xbf" + start("b"))) == Ack()
    assert (await bench.outcome("b"))["type"] == "command.succeeded.v1"


async def test_a_whole_number_with_a_point_is_executed(bench: CommandBench) -> None:
    body = start("f", ', "max_seconds": 3600.0').replace(b"start_track", b"start")
    assert await bench.handler.handle(delivered(JSON_FLAGS, body)) == Ack()
    assert (await bench.outcome("f"))["type"] == "command.succeeded.v1"


async def test_a_packed_body_that_is_cut_off_is_a_dead_letter_with_an_outcome(
    bench: CommandBench,
) -> None:
    packed = gzip.compress(start("gz-1"))[:-3]
    settlement = await bench.handler.handle(delivered(GZIP, packed))
    assert isinstance(settlement, Dead)
    assert settlement.code == "not_gzip"
    assert (await bench.outcome("gz-1"))["data"]["code"] == "not_gzip"


async def test_a_body_of_another_content_type_is_a_dead_letter(bench: CommandBench) -> None:
    settlement = await bench.send_raw(start("start-1"), content_type="application/xml")
    assert isinstance(settlement, Dead)
    assert bench.started() == []
