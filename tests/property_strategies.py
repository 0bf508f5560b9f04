"""Strategies for message properties of every type, as AMQP encodes them."""

import struct
from typing import Final

from hypothesis import strategies as st

from worker.broker.properties import (
    DELIVERY_MODE,
    FLAGS,
    HEADERS,
    PRIORITY,
    TIMESTAMP,
    counted,
    joined_table,
)

Bytes = st.SearchStrategy[bytes]


def of_size(size: int) -> Bytes:
    """Any bytes of this size."""
    return st.binary(min_size=size, max_size=size)


def typed(letters: bytes, value: Bytes) -> Bytes:
    """A value with the letter of its type."""
    return st.tuples(st.sampled_from(letters), value).map(lambda t: bytes((t[0],)) + t[1])


SCALARS: Final = st.one_of(
    typed(b"bB", of_size(1)),
    typed(b"t", st.sampled_from([b"\0", b"\1"])),
    typed(b"su", of_size(2)),
    typed(b"Ii", of_size(4)),
    typed(
        b"f",
        st.floats(width=32, allow_nan=False, allow_infinity=False).map(struct.Struct(">f").pack),
    ),
    typed(b"lT", of_size(8)),
    typed(b"d", st.floats(allow_nan=False, allow_infinity=False).map(struct.Struct(">d").pack)),
    typed(b"D", of_size(5)),
    typed(b"V", st.just(b"")),
    typed(b"Sx", st.binary(max_size=40).map(counted)),
)
"""Scalars that RabbitMQ accepts. It closes the connection if a float is NaN."""

OTHER_SCALARS: Final = typed(b"L", of_size(8)) | typed(b"f", of_size(4)) | typed(b"t", of_size(1))


def nested(scalars: Bytes) -> Bytes:
    """Scalars, and arrays and tables of them."""
    return st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda values: b"A" + counted(b"".join(values))),
            entries(inner).map(lambda table: b"F" + joined_table(table)),
        ),
        max_leaves=8,
    )


def entries(values: Bytes) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    """The entries of a table, without duplicate names."""
    return st.lists(
        st.tuples(st.binary(max_size=60), values), max_size=6, unique_by=lambda entry: entry[0]
    )


BROKER_TABLES: Final = entries(nested(SCALARS))
"""Headers that RabbitMQ takes."""

TABLES: Final = entries(nested(SCALARS | OTHER_SCALARS))

_FIXED: Final = {DELIVERY_MODE: 1, PRIORITY: 1, TIMESTAMP: 8}
_SHORT: Final = st.binary(max_size=255).map(lambda text: bytes((len(text),)) + text)

PROPERTIES: Final = st.fixed_dictionaries(
    {},
    optional={
        flag: TABLES.map(joined_table)
        if flag == HEADERS
        else of_size(_FIXED[flag])
        if flag in _FIXED
        else _SHORT
        for flag in FLAGS
    },
)
