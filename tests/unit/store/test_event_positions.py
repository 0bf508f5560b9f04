"""The text that says where the events of a recording are."""

import random

from worker.store.event_positions import (
    MAX_GAP,
    PositionRange,
    positions_by_subject,
    ranges_of,
    with_positions,
)


def text_of(*ranges: tuple[int, int]) -> str:
    text = ""
    for first, last in ranges:
        text = with_positions(text, first, last)
    return text


def test_far_ranges_stay_apart_and_near_ones_become_one() -> None:
    far = 10 + MAX_GAP + 2
    assert text_of((1, 1), (10, 10)) == "1-10"
    assert text_of((1, 1), (far, far)) == f"1 {far}"
    assert text_of((5, 10), (far, far + 3)) == f"5-10 {far}-{far + 3}"
    assert text_of((5, 10), (far - 1, far)) == f"5-{far}"


def test_a_recording_without_events_has_no_ranges() -> None:
    assert list(ranges_of(None)) == list(ranges_of("")) == []


def test_neighbouring_single_positions_are_ranges_too() -> None:
    text = with_positions("3 4 9", 10, 12)
    assert list(ranges_of(text)) == [(3, 3), (4, 4), (9, 12)]


def test_every_position_that_was_added_is_in_exactly_one_range() -> None:
    numbers = random.Random(7)
    for _ in range(200):
        position, text = 0, ""
        added: list[int] = []
        for _ in range(numbers.randrange(1, 30)):
            first = position + numbers.choice([1, 2, MAX_GAP, MAX_GAP + 1, MAX_GAP + 2, 10_000])
            position = first + numbers.randrange(3)
            added += range(first, position + 1)
            text = with_positions(text, first, position)
        ranges = list(ranges_of(text))
        assert ranges == sorted(ranges)
        assert all(sum(start <= number <= end for start, end in ranges) == 1 for number in added)


def test_the_range_of_a_subject_spans_its_events_among_others() -> None:
    found = positions_by_subject([("a", 4), ("b", 5), ("a", 6), ("b", 9)])
    assert found == {"a": PositionRange(4, 6), "b": PositionRange(5, 9)}
