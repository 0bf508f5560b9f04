"""The library reads every frame but those of deliveries that are routed past it."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Queue
from pamqp.header import ContentHeader

from worker.broker.aiormq.delivery_decoder import DeliveryAssembler
from worker.broker.aiormq.frame_reader import HEARTBEAT_INTERVAL_SECONDS, FrameReader
from worker.broker.messages import Delivery

TAKEN, OTHER = 1, 2


def delivered(channel: int, tag: int, body: bytes) -> bytes:
    deliver = Basic.Deliver(consumer_tag="t", delivery_tag=tag, exchange="", routing_key="key")
    properties = Basic.Properties(message_id=str(tag))
    header = ContentHeader(body_size=len(body), properties=properties)
    stream = pamqp.frame.marshal(deliver, channel) + pamqp.frame.marshal(header, channel)
    return stream + (pamqp.frame.marshal(ContentBody(body), channel) if body else b"")


def answer(channel: int) -> bytes:
    return pamqp.frame.marshal(Queue.DeclareOk("q", 0, 0), channel)


class Reading:
    """A reader as the library creates it, with the bytes received so far."""

    def __init__(self, chunks: Sequence[bytes], ticks: Callable[[], float] = lambda: 0.0) -> None:
        self.taken: list[tuple[int, bytes]] = []
        plain = asyncio.StreamReader()
        self.frames = FrameReader(plain, {TAKEN: DeliveryAssembler(self._take)}, ticks)
        for chunk in chunks:
            plain.feed_data(chunk)
        plain.feed_eof()

    def _take(self, tag: int, delivery: Delivery) -> None:
        self.taken.append((tag, delivery.body))

    async def frame(self) -> bytes:
        head = await self.frames.readexactly(1) + await self.frames.readexactly(6)
        return head + await self.frames.readexactly(int.from_bytes(head[3:]) + 1)

    async def all(self) -> list[bytes]:
        frames = []
        try:
            while not self.frames.at_eof():
                frames.append(await self.frame())
        except asyncio.IncompleteReadError:
            pass
        return frames


@given(cuts=st.lists(st.integers(0, 400)), bodies=st.lists(st.binary(max_size=40), max_size=5))
def test_each_frame_reaches_its_reader_wherever_the_stream_is_cut(
    cuts: list[int], bodies: list[bytes]
) -> None:
    async def read() -> None:
        stream = b"".join(
            delivered(TAKEN, tag, body) + answer(TAKEN) + delivered(OTHER, tag, b"x")
            for tag, body in enumerate(bodies)
        )
        edges = [0, *sorted(cuts), len(stream)]
        reading = Reading([stream[at:end] for at, end in pairwise(edges)])
        frames = await reading.all()
        assert reading.taken == list(enumerate(bodies))
        assert b"".join(frames) == b"".join(
            answer(TAKEN) + delivered(OTHER, tag, b"x") for tag in range(len(bodies))
        )

    asyncio.run(read())


async def test_a_body_in_many_frames_is_assembled_with_other_frames_in_between() -> None:
    body, channel = bytes(200_000), TAKEN
    deliver = Basic.Deliver(consumer_tag="t", delivery_tag=5, exchange="", routing_key="key")
    parts = [ContentBody(body[at : at + 70_000]) for at in range(0, len(body), 70_000)]
    stream = pamqp.frame.marshal(deliver, channel)
    stream += pamqp.frame.marshal(ContentHeader(body_size=len(body)), channel)
    stream += b"".join(pamqp.frame.marshal(part, channel) + answer(OTHER) for part in parts)
    reading = Reading([stream])
    assert await reading.all() == [answer(OTHER)] * len(parts)
    assert reading.taken == [(5, body)]


async def test_the_library_gets_heartbeats_while_the_broker_only_delivers() -> None:
    ticks = iter([0.0, *[HEARTBEAT_INTERVAL_SECONDS] * 10])  # the first when the connection is made
    reading = Reading([delivered(TAKEN, tag, b"") for tag in range(4)], lambda: next(ticks))
    frames = [pamqp.frame.unmarshal(frame)[2].name for frame in await reading.all()]
    assert frames == ["Heartbeat"]
    assert len(reading.taken) == 4


async def test_the_end_of_the_connection_raises_also_in_the_middle_of_a_frame() -> None:
    whole = Reading([answer(OTHER)])
    assert await whole.frame() == answer(OTHER)
    assert whole.frames.at_eof()
    cut = Reading([answer(OTHER)[:-1]])
    with pytest.raises(asyncio.IncompleteReadError):
        await cut.frame()


async def test_the_offer_of_another_protocol_is_passed_to_the_library() -> None:
    reading = Reading([b"AMQP\x00\x00\x09\x01"])
    assert await reading.frames.readexactly(7) == b"AMQP\x00\x00\x09"
