"""Short forms of ids: which id they stand for, and that commands accept the printed form. Pure."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.short_ids import beginning, shorten, stands_for

FIRST_ID = "1a2b3c4d-0000-4000-8000-000000000001"
SECOND_ID = "1a2b3c4d-0000-4000-8000-000000000002"
ANY_ID = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda recording_id: str(recording_id).upper()),
    st.text("abc-1…. ", min_size=1, max_size=40),
)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("1a2b", "1a2b"),
        ("1A2b3c4d-", "1A2b3c4d-"),
        ("order-2026…", "order-2026"),
        ("order-2026...", "order-2026"),
        (FIRST_ID, None),
        ("1a2", None),
        ("start-1", None),
        ("…", None),
        ("", None),
    ],
)
def test_the_beginning_of_a_uuid_or_a_text_with_an_ellipsis_is_short(
    text: str, start: str | None
) -> None:
    assert beginning(text) == start


@pytest.mark.parametrize(
    ("text", "whole_id", "is_short_for_it"),
    [
        ("1a2b", FIRST_ID, True),
        ("1a2b…", FIRST_ID, True),
        ("1a2c", FIRST_ID, False),
        (FIRST_ID, FIRST_ID, False),
        ("abcd", "abcdef", False),  # a prefix without `…` stands only for a UUID
        ("abcd…", "abcdef", True),
        ("start-1", "start-10", False),
    ],
)
def test_only_a_uuid_is_meant_by_a_bare_beginning(
    text: str, whole_id: str, is_short_for_it: bool
) -> None:
    assert stands_for(text, whole_id) is is_short_for_it


def test_short_forms_are_as_long_as_they_must_be_to_differ() -> None:
    alone = str(uuid.UUID(int=7))
    assert shorten([FIRST_ID, SECOND_ID, alone]) == {
        FIRST_ID: FIRST_ID,
        SECOND_ID: SECOND_ID,
        alone: "00000000",
    }
    assert shorten([FIRST_ID, FIRST_ID]) == {FIRST_ID: "1a2b3c4d"}
    assert shorten(["start-1", "x" * 21]) == {"start-1": "start-1", "x" * 21: "x" * 12 + "…"}


@given(st.lists(ANY_ID, max_size=6))
def test_every_short_form_means_its_id_and_no_other_one_of_them(ids: list[str]) -> None:
    short = shorten(ids)
    for whole_id in ids:
        text = short[whole_id]
        assert len(text) <= len(whole_id)
        if text != whole_id:
            assert [other for other in set(ids) if text == other] == []
            assert [other for other in set(ids) if stands_for(text, other)] == [whole_id]
