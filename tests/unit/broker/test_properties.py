"""Properties are decoded and encoded byte for byte, for any values."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tests.property_strategies import PROPERTIES, TABLES
from worker.broker.aiormq.delivery_decoder import decoded_headers
from worker.broker.aiormq.message_encoder import encoded_table
from worker.broker.properties import (
    HEADERS,
    TIMESTAMP,
    counted,
    joined_properties,
    joined_table,
    split_properties,
    split_table,
    timestamp_property,
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
