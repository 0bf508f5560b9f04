"""The library decodes messages that the worker encodes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from worker.broker.aiormq.message_encoder import (
    ENCODING_ERRORS,
    encoded_message,
    encoded_properties,
)
from worker.broker.messages import Outgoing

SHORT = st.none() | st.text(max_size=63)
"""At most 255 bytes of UTF-8."""


def decoded(encoded: bytes) -> Basic.Properties:
    header = ContentHeader()
    header.unmarshal(b"\x00\x3c\x00\x00" + bytes(8) + encoded)
    return header.properties


@given(
    message=st.builds(
        Outgoing,
        exchange=st.just(""),
        routing_key=st.just(""),
        body=st.just(b""),
        message_id=SHORT,
        type=SHORT,
        content_type=SHORT,
        content_encoding=SHORT,
        app_id=SHORT,
        correlation_id=SHORT,
        reply_to=SHORT,
        timestamp=st.none() | st.floats(0, 4e9),
        headers=st.dictionaries(
            st.text(max_size=20),
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=300),
            max_size=4,
        ),
    )
)
def test_the_library_decodes_every_property_to_its_original_value(message: Outgoing) -> None:
    read = decoded(encoded_properties(message))
    assert read == Basic.Properties(
        content_type=message.content_type or None,
        content_encoding=message.content_encoding or None,
        headers=message.headers or None,  # type: ignore[arg-type]
        delivery_mode=2,
        correlation_id=message.correlation_id or None,
        reply_to=message.reply_to or None,
        message_id=message.message_id or None,
        timestamp=None
        if message.timestamp is None
        else datetime.fromtimestamp(int(message.timestamp), UTC),
        message_type=message.type or None,
        app_id=message.app_id or None,
    )


def test_a_long_correlation_id_is_cut_between_two_characters() -> None:
    long = Outgoing(exchange="", routing_key="", body=b"", correlation_id="€" * 100)
    assert decoded(encoded_properties(long)).correlation_id == "€" * 85


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"message_id": "m" * 256}, id="message id"),
        pytest.param({"reply_to": "r" * 256}, id="reply to"),
        pytest.param({"type": "€" * 86}, id="type"),
        pytest.param({"headers": {"a": object()}}, id="header's kind"),
        pytest.param({"headers": {"a": 2**64}}, id="header's size"),
        pytest.param({"timestamp": -1.0}, id="timestamp"),
        pytest.param({"message_id": "\ud800"}, id="half a character"),
    ],
)
def test_a_message_that_amqp_cannot_hold_raises_an_encoding_error(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ENCODING_ERRORS):
        encoded_properties(Outgoing(exchange="", routing_key="", body=b"", **wrong))  # type: ignore[arg-type]


def test_properties_that_fit_no_frame_raise_an_encoding_error() -> None:
    large = Outgoing(exchange="", routing_key="", body=b"", headers={"a": "v" * 4070})
    encoded_message(large, 1, 4096)
    with pytest.raises(ValueError, match="larger than a frame"):
        encoded_message(large, 1, 4088)
