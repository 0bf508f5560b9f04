"""Which recordings count as absent while a list is read, and when."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tracking.test_pagination import ListApi
from worker.tracking.list_diff import AbsenceDetector
from worker.tracking.pagination import PageIterator


def read(api: ListApi, detector: AbsenceDetector, *, guess: int) -> list[set[int]]:
    """Read the whole list. Returns the recordings that each page showed to be absent."""

    async def pages() -> list[set[int]]:
        missed = []
        async for page in PageIterator(api.client(), guess=guess).oldest_first():
            ids = [recording.recording_id for recording in page.recordings]
            missed.append({int(recording_id[1:]) for recording_id in detector.add_page(ids)})
        return missed

    detector.begin()
    missed = asyncio.run(pages())
    detector.end()
    return missed


def ending(api: ListApi, at: int, *gone: int) -> Callable[[], None]:
    """Ends the recordings `gone` after this many answers from now on."""
    begun = len(api.requested_pages)

    def change() -> None:
        if len(api.requested_pages) - begun == at:
            api.live = [number for number in api.live if number not in gone]

    return change


def listed(count: int, cap: int = 10) -> tuple[ListApi, AbsenceDetector]:
    """A list that was read once."""
    api, detector = ListApi(list(range(count))), AbsenceDetector()
    api.cap = cap
    read(api, detector, guess=-(-count // cap))
    return api, detector


def test_an_absence_is_noticed_one_page_after_its_place() -> None:
    api, detector = listed(100)
    api.live.remove(75)
    assert read(api, detector, guess=10) == [*[set()] * 3, {75}, *[set()] * 6]


def test_a_recording_that_ends_during_the_reading_is_noticed_if_its_place_is_still_to_come() -> (
    None
):
    api, detector = listed(100)
    api.change = ending(api, 3, 25, 95)
    assert read(api, detector, guess=10)[-3:] == [set(), {25}, set()]
    assert read(api, detector, guess=10)[1] == {95}


def test_many_absences_are_all_noticed() -> None:
    api, detector = listed(200)
    api.live = [number for number in api.live if number % 3]
    missed = set().union(*read(api, detector, guess=20))
    assert missed == {number for number in range(16, 200) if number % 3 == 0}


def test_the_first_reading_notices_no_absence() -> None:
    api, detector = ListApi(list(range(30))), AbsenceDetector()
    api.cap = 10
    assert read(api, detector, guess=3) == [set()] * 3
    assert all(detector.is_accounted_for(f"r{number}") for number in range(30))
    assert not detector.is_accounted_for("r30")


def test_an_incomplete_reading_does_not_change_the_order() -> None:
    api, detector = listed(100)
    detector.begin()
    detector.add_page(["r99"])
    api.live.remove(75)
    assert {75} in read(api, detector, guess=10)


@settings(max_examples=300, deadline=None)
@given(
    count=st.integers(0, 80),
    cap=st.integers(1, 20),
    script=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=40),
    choice=st.randoms(use_true_random=False),
)
def test_no_listed_recording_counts_as_absent_while_others_end_and_begin(
    count: int, cap: int, script: list[tuple[int, int]], choice: Any
) -> None:
    live, detector = [f"r{number}" for number in range(count)], AbsenceDetector()
    for _ in range(3):
        missed: list[str] = []
        detector.begin()
        for page_number in range(-(-len(live) // cap), 0, -1):
            missed += detector.add_page(live[(page_number - 1) * cap : page_number * cap])
            ends, begins = script.pop(0) if script else (0, 0)
            for ended in choice.sample(live, min(ends, len(live))):
                live.remove(ended)
            live += [f"r{count + number}" for number in range(begins)]
            count += begins
        detector.end()
        assert not set(missed) & set(live)


@settings(max_examples=100, deadline=None)
@given(choice=st.randoms(use_true_random=False))
def test_a_list_without_an_order_has_few_false_absences(choice: Any) -> None:
    detector = AbsenceDetector()
    names = [f"r{number}" for number in range(200)]
    for _ in range(3):
        detector.begin()
        choice.shuffle(names)
        missed: list[str] = []
        for first in range(190, -1, -10):
            missed += detector.add_page(names[first : first + 10])
        detector.end()
        assert len(missed) <= 40


def test_recordings_that_swap_places_across_pages_are_not_absent_and_hide_no_absence() -> None:
    _api, detector = listed(100)
    names = [f"r{number}" for number in range(100)]
    names[79], names[80] = names[80], names[79]
    names.remove("r85")
    detector.begin()
    missed = [detector.add_page(names[first : first + 10]) for first in range(90, -1, -10)]
    assert [recording_id for page in missed for recording_id in page] == ["r85"]


def test_nothing_counts_as_absent_after_a_false_absence() -> None:
    _api, detector = listed(100)
    names = [f"r{number}" for number in range(100)]
    pages = [names[first : first + 10] for first in range(90, -1, -10)]
    late = pages.pop(1)
    detector.begin()
    missed = [detector.add_page(page) for page in pages[:4]]
    assert missed == [[], [], late, []]
    detector.add_page(late)
    assert [detector.add_page(page) for page in pages[5:]] == [[]] * 4
