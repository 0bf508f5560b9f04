"""The buffers that a body is received into."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.archive.download.body_buffer import (
    BUFFER_BYTES,
    SMALL_BYTES,
    BufferedBody,
    ParsedBody,
)

SIZES = st.one_of(
    st.integers(1, 1000), st.sampled_from([BUFFER_BYTES + step for step in (-1, 0, 1)])
)


@given(st.lists(SIZES, min_size=1, max_size=8), st.randoms(use_true_random=False), st.booleans())
def test_a_body_that_arrives_in_any_portions_is_given_whole_and_in_order(
    portions: list[int], dice: random.Random, by_copy: bool
) -> None:
    sent = random.Random(1).randbytes(sum(portions))
    body, taken, at = BufferedBody(len(sent)), list[memoryview](), 0
    for portion in portions:
        if by_copy:
            body.write(sent[at : at + portion])
        else:
            receive(body, sent[at : at + portion])
        at += portion
        assert body.waiting == at - sum(map(len, taken))
        while body.waiting and dice.random() < 0.7:
            taken.append(body.take())
    assert body.is_complete
    assert not body.free()
    while body.waiting:
        taken.append(body.take())
    assert b"".join(taken) == sent


def test_bytes_that_were_taken_are_never_overwritten() -> None:
    body = BufferedBody(3 * BUFFER_BYTES)
    receive(body, b"a" * 10)
    first = body.take()
    receive(body, b"b" * (3 * BUFFER_BYTES - 10))
    assert first == b"a" * 10


def test_the_pieces_of_a_full_buffer_are_parts_of_it() -> None:
    body = BufferedBody(2 * BUFFER_BYTES)
    receive(body, b"a" * 10)
    pieces = [body.take()]
    receive(body, b"b" * (2 * BUFFER_BYTES - 10))
    pieces += [body.take(), body.take()]
    assert [piece.obj is after.obj for piece, after in pairwise(pieces)] == [True, False]


def receive(body: BufferedBody, data: bytes) -> None:
    """Write to the buffers as a socket does."""
    while data:
        free = body.free()
        count = min(len(free), len(data))
        free[:count] = data[:count]
        body.received(count)
        data = data[count:]


PIECES = st.one_of(st.integers(1, 3), st.sampled_from([SMALL_BYTES + step for step in (-1, 0, 1)]))


@given(st.lists(PIECES, max_size=30), st.randoms(use_true_random=False))
def test_pieces_of_any_size_are_given_whole_and_in_order(
    sizes: list[int], dice: random.Random
) -> None:
    sent = random.Random(1).randbytes(sum(sizes))
    body, taken, at = ParsedBody(), b"", 0
    for size in sizes:
        body.append(sent[at : at + size])
        at += size
        assert body.waiting == at - len(taken)
        while body.waiting and dice.random() < 0.2:
            taken += body.take()
    while body.waiting:
        taken += body.take()
    assert taken == sent


def test_small_pieces_are_joined() -> None:
    body = ParsedBody()
    for _ in range(2 * SMALL_BYTES):
        body.append(b"xy")
    assert len(body.take()) >= SMALL_BYTES
