"""Whom a start records, by the ids that it names."""

from collections.abc import Sequence

import pytest

from worker.domain.errors import Refused
from worker.domain.meeting_participants import (
    MeetingParticipant,
    MeetingParticipants,
    People,
    people_to_record,
)

PEOPLE = (
    ("u-anna", "anna"),
    ("u-bert", "bert"),
    ("u-bert-2", "bert"),
    ("u-nameless", None),
)


def known(
    people: Sequence[tuple[str, str | None]] = PEOPLE, *, is_whole: bool = True
) -> MeetingParticipants:
    return MeetingParticipants(
        (
            MeetingParticipant(user_id=user_id, custom_participant_id=custom_id)
            for user_id, custom_id in people
        ),
        read_at=0.0,
        is_whole=is_whole,
    )


def people(
    user_ids: Sequence[str] = (), custom_ids: Sequence[str] = (), *, check: bool = True
) -> People:
    return people_to_record(known(), user_ids=user_ids, custom_ids=custom_ids, check_user_ids=check)


@pytest.mark.parametrize(
    ("user_ids", "custom_ids", "expected"),
    [
        (("u-anna",), (), ("u-anna",)),
        (("u-nameless",), (), ("u-nameless",)),
        ((), ("anna",), ("u-anna",)),
        ((), ("bert",), ("u-bert", "u-bert-2")),
        ((), ("bert", "anna"), ("u-bert", "u-bert-2", "u-anna")),
        (("u-nameless",), ("anna",), ("u-nameless", "u-anna")),
        (("u-anna", "u-anna"), ("anna", "anna"), ("u-anna",)),
        (("u-bert-2",), ("bert",), ("u-bert-2", "u-bert")),
    ],
)
def test_ids_mean_these_people_each_once(
    user_ids: Sequence[str], custom_ids: Sequence[str], expected: tuple[str, ...]
) -> None:
    assert people(user_ids, custom_ids).user_ids == expected


def test_the_custom_id_of_everybody_is_kept_also_of_those_named_by_participant_id() -> None:
    assert people(("u-anna", "u-nameless"), ("bert",)).custom_ids == {
        "u-anna": "anna",
        "u-bert": "bert",
        "u-bert-2": "bert",
    }


@pytest.mark.parametrize(
    ("user_ids", "custom_ids", "field", "advice"),
    [
        (("nobody",), (), "user_ids[0]", "none of the meeting's participants"),
        (("u-anna", "nobody"), (), "user_ids[1]", "none of the meeting's participants"),
        ((), ("anna", "nobody"), "custom_participant_ids[1]", "none of the meeting's"),
        ((), ("ANNA",), "custom_participant_ids[0]", "none of the meeting's"),
        ((), (" anna",), "custom_participant_ids[0]", "none of the meeting's"),
        (("U-ANNA",), (), "user_ids[0]", "none of the meeting's"),
        (("u-anna", "bert"), (), "user_ids[1]", "give it in `custom_participant_ids`"),
        ((), ("bert", "u-anna"), "custom_participant_ids[1]", "give it in `user_ids`"),
        (("nobody",), ("nobody",), "user_ids[0]", "none of the meeting's"),
    ],
)
def test_an_id_that_nobody_has_is_refused_with_its_place_and_the_field_to_use(
    user_ids: Sequence[str], custom_ids: Sequence[str], field: str, advice: str
) -> None:
    with pytest.raises(Refused) as refused:
        people(user_ids, custom_ids)
    assert (refused.value.code, refused.value.field) == ("unknown_participant", field)
    assert advice in refused.value.message
    assert field in refused.value.message
    assert refused.value.http_status is None


def test_without_the_check_an_unknown_participant_id_is_sent_and_a_custom_id_is_refused() -> None:
    assert people(("nobody",), ("anna",), check=False).user_ids == ("nobody", "u-anna")
    with pytest.raises(Refused):
        people(("nobody",), ("nobody",), check=False)


@pytest.mark.parametrize(("count", "is_refused"), [(100, False), (101, True)])
def test_at_most_a_hundred_different_people_are_recorded(count: int, is_refused: bool) -> None:
    crowd = known([(f"u-{number}", "crowd") for number in range(count)])
    if not is_refused:
        found = people_to_record(crowd, user_ids=("u-0",), custom_ids=("crowd",))
        assert len(found.user_ids) == count
        return
    with pytest.raises(Refused) as refused:
        people_to_record(crowd, user_ids=("u-0",), custom_ids=("crowd",))
    assert refused.value.code == "too_many_participants"
    assert refused.value.field == "custom_participant_ids"
    assert "101" in refused.value.message


def test_in_a_meeting_with_more_people_than_are_read_only_certain_ids_are_refused() -> None:
    crowd = known(is_whole=False)
    assert people_to_record(crowd, user_ids=("later",), custom_ids=()).user_ids == ("later",)
    for user_ids, custom_ids in ((("bert",), ()), ((), ("later",))):
        with pytest.raises(Refused):
            people_to_record(crowd, user_ids=user_ids, custom_ids=custom_ids)
