"""The facts that are read from file names."""

from datetime import UTC, datetime

import pytest

from worker.domain.file_names import endings, time_in_name, track_name, track_name_after


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


@pytest.mark.parametrize(
    ("fraction", "microsecond"), [("5", 500_000), ("250", 250_000), ("123456789", 123_456)]
)
def test_a_time_in_a_name_has_up_to_six_digits_of_a_second(fraction: str, microsecond: int) -> None:
    time = time_in_name(f"2026-07-07T06:33:22.{fraction}Z")
    assert time is not None
    assert time.microsecond == microsecond


def test_the_name_of_a_track_says_all_of_its_parts() -> None:
    name = track_name("p_u_d_screenshare_video_1783406002832.webm")
    assert name is not None
    assert (name.ids, name.stream_kind, name.media) == ("p_u_d", "screenshare", "video")
    assert name.recorded_at == datetime(2026, 7, 7, 6, 33, 22, 832_000, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "17834060", "2026-07-07", "2026-13-07T06:33:22Z", "9" * 12])
def test_a_time_that_is_none_is_not_guessed(text: str) -> None:
    assert time_in_name(text) is None
