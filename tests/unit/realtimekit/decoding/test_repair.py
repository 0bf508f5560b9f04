"""Bodies of the API that are not JSON in one value."""

import msgspec
import pytest

from worker.realtimekit.decoding.fields import Unreadable, decode
from worker.realtimekit.decoding.recordings import decode_recording_page

GOOD = b'{"id":"rec-1","status":"RECORDING"}'


@pytest.mark.parametrize(
    "field",
    [
        b'"recording_duration":NaN',
        b'"recording_duration": -Infinity',
        b'"file_size":Infinity',
        b'"output_file_name":"caf\xe9.webm"',
        b'"output_file_name":"cut within a letter \xc3"',
        b'"output_file_name":"cut within an emoji \xf0\x9f\x98"',
        b'"output_file_name":"half an emoji \\ud83d"',
        b'"output_file_name":"CESU-8 \xed\xa0\xbd\xed\xb8\x80"',
        b'"output_file_name":"two\nlines\tand\x00a NUL"',
        b'"output_file_name":"\xff NaN, \\"NaN\\", Infinity","file_size":NaN',
    ],
)
def test_a_value_that_json_forbids_hides_no_recording_of_a_list(field: bytes) -> None:
    body = (
        b'{"success":true,"data":[' + GOOD + b',{"id":"rec-2","status":"PAUSED",' + field + b"}]}"
    )
    page = decode_recording_page(body)
    assert [(each.recording_id, each.status) for each in page.recordings] == [
        ("rec-1", "RECORDING"),
        ("rec-2", "PAUSED"),
    ]
    assert page.unreadable_count == 0


@pytest.mark.parametrize("broken", [b"rec-\xff", b"rec-\\ud83d"])
def test_a_recording_whose_id_is_broken_counts_as_unreadable(broken: bytes) -> None:
    body = b'{"success":true,"data":[' + GOOD + b',{"id":"' + broken + b'"}]}'
    page = decode_recording_page(body)
    assert (len(page.recordings), page.unreadable_count) == (1, 1)


def test_a_byte_order_mark_before_a_body_is_ignored() -> None:
    assert decode(b"\xef\xbb\xbf[1]", msgspec.json.Decoder()) == [1]


def test_what_looks_like_a_value_within_a_string_stays() -> None:
    body = b'["\xff", "NaN", "a \\" NaN", "\\\\", NaN, -Infinity]'
    expected = ["\ufffd", "NaN", 'a " NaN', "\\", None, None]
    assert decode(body, msgspec.json.Decoder()) == expected


@pytest.mark.parametrize("body", [b"", b"[1", b'["a', b'[NaN, "a', b"[1,]", b"NaN1", b"xNaN", b"-"])
def test_a_body_of_another_structure_stays_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(body, msgspec.json.Decoder())


@pytest.mark.parametrize(
    "unit", [b'"', b"\\", b'\\"', b'"\\"', b"\\ud83d", b"NaN ", b'"NaN', b"\xff"]
)
def test_a_large_hostile_body_is_given_up(unit: bytes) -> None:  # with backtracking: never
    with pytest.raises(Unreadable):
        decode(b"NaN[" + unit * (100_000 // len(unit)), msgspec.json.Decoder())
