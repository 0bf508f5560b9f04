"""Properties are taken apart and put together byte for byte, whatever they hold."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from worker.broker.aiormq.delivery_decoder import decoded_headers
from worker.broker.aiormq.message_encoder import encoded_table
from worker.broker.properties import (
    DELIVERY_MODE,
    FLAGS,
    HEADERS,
    PRIORITY,
    TIMESTAMP,
    counted,
    joined_properties,
    joined_table,
    split_properties,
    split_table,
    timestamp_property,
)

FIXED = {DELIVERY_MODE: 1, PRIORITY: 1, TIMESTAMP: 8}
SHORT = st.binary(max_size=255).map(lambda text: bytes((len(text),)) + text)


def of_size(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


NAMES = st.binary(max_size=60)
SCALARS = st.one_of(
    *(st.tuples(st.sampled_from(letters), of_size(size)) for letters, size in ((b"tbB", 1),)),
    *(
        st.tuples(st.sampled_from(kinds), of_size(size))
        for kinds, size in ((b"su", 2), (b"Iif", 4), (b"lLdT", 8), (b"D", 5), (b"V", 0))
    ),
    st.tuples(st.sampled_from(b"Sx"), st.binary(max_size=40).map(counted)),
).map(lambda typed: bytes((typed[0],)) + typed[1])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: b"A" + counted(b"".join(values))),
        st.lists(st.tuples(NAMES, inner), max_size=3).map(lambda t: b"F" + joined_table(t)),
    ),
    max_leaves=8,
)
TABLES = st.lists(st.tuples(NAMES, VALUES), max_size=6)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        flag: TABLES.map(joined_table)
        if flag == HEADERS
        else of_size(FIXED[flag])
        if flag in FIXED
        else SHORT
        for flag in FLAGS
    },
)


@given(PROPERTIES, st.binary(max_size=12))
def test_properties_survive_byte_for_byte(properties: dict[int, bytes], before: bytes) -> None:
    encoded = joined_properties(properties)
    assert split_properties(before + encoded, len(before)) == properties


@given(TABLES)
def test_headers_of_every_type_survive_byte_for_byte(entries: list[tuple[bytes, bytes]]) -> None:
    assert split_table(joined_table(entries)) == (entries, True)


@given(TABLES)
def test_headers_of_every_type_are_decoded_or_left_as_they_are(
    entries: list[tuple[bytes, bytes]],
) -> None:
    names = {name.decode(errors="replace") for name, _ in entries}
    assert decoded_headers({HEADERS: joined_table(entries)}).keys() == names


@given(st.binary(max_size=80), st.integers(0, 14))
def test_any_bytes_are_taken_apart_as_far_as_possible(encoded: bytes, offset: int) -> None:
    properties = split_properties(encoded, offset)
    decoded_headers(properties)
    timestamp_property(properties)
    split_table(encoded)


@given(PROPERTIES, st.data())
def test_properties_before_a_cut_survive_it(
    properties: dict[int, bytes], data: st.DataObject
) -> None:
    encoded = joined_properties(properties)
    cut = split_properties(encoded[: data.draw(st.integers(0, len(encoded)))])
    assert cut.items() <= properties.items()


@given(TABLES)
def test_a_header_of_an_unknown_type_ends_the_table(entries: list[tuple[bytes, bytes]]) -> None:
    behind = joined_table([*entries, (b"unknown", b"?"), (b"later", b"V")])
    assert split_table(behind) == (entries, False)


@given(
    st.dictionaries(
        st.text(max_size=20), st.none() | st.booleans() | st.text(max_size=30) | st.integers(0, 9)
    )
)
def test_the_headers_that_the_worker_writes_are_decoded_to_their_values(
    headers: dict[str, object],
) -> None:
    assert decoded_headers({HEADERS: encoded_table(headers)} if headers else {}) == headers


def test_a_large_array_is_left_as_it_is_because_decoding_takes_too_long() -> None:
    array = b"A" + counted(b"t\x01" * 30_000)
    assert decoded_headers({HEADERS: joined_table([(b"a", array)])}) == {"a": array}


@given(st.integers(0, 2**64 - 1))
def test_a_timestamp_is_a_time_or_none(seconds: int) -> None:
    found = timestamp_property({TIMESTAMP: struct.pack(">Q", seconds)})
    assert found == (seconds if seconds < 253_402_300_800 else None)
