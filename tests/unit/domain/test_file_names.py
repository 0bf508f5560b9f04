"""The facts that are read from file names."""

import pytest

from worker.domain.file_names import endings, time_in_name, track_name_after


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("a", []),
        ("a_b_c", ["b_c", "c"]),
        ("a__b", ["_b", "b"]),
        ("_a_", ["a_", ""]),
    ],
)
def test_every_text_after_an_underscore_is_an_ending(text: str, found: list[str]) -> None:
    assert list(endings(text)) == found


@pytest.mark.parametrize("tail", ["microphone_audio_.webm", "microphone_audio__x.webm"])
def test_a_name_without_a_time_still_says_what_was_recorded(tail: str) -> None:
    name = track_name_after(f"default_u1_p1_{tail}", "u1", "p1")
    assert name is not None
    assert (name.stream_kind, name.media, name.recorded_at) == ("microphone", "audio", None)


@pytest.mark.parametrize(
    "text", ["1783406002", "1783406002000", "2026-07-07T06:33:22Z", "20260707T063322Z"]
)
def test_the_time_in_a_name_is_read_in_any_of_its_forms(text: str) -> None:
    time = time_in_name(text)
    assert time is not None
    assert time.isoformat() == "2026-07-07T06:33:22+00:00"


@pytest.mark.parametrize("text", ["", "17834060", "2026-07-07", "2026-13-07T06:33:22Z", "9" * 12])
def test_a_time_that_is_none_is_not_guessed(text: str) -> None:
    assert time_in_name(text) is None
