"""Which read of the participants counts for which start."""

from typing import Any

import httpx
import pytest

from recording_schemas import StartTrackRecording
from tests.unit.api_client import answered_client
from worker.commands.operations.people import (
    BURST_SECONDS,
    LIST_LAG_SECONDS,
    PeopleFinder,
    names_people,
)
from worker.domain.errors import LeaseLost, Refused, Unavailable
from worker.domain.meeting_participants import People
from worker.realtimekit.participant_directory import ParticipantDirectory

MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
ARRIVED = 1000.0


class StubParticipants:
    """A list of participants at the API's wire, and one clock. `reads` counts the requests."""

    def __init__(self) -> None:
        self.time = ARRIVED
        self.people = {"u-ann": "ann"}
        self.reads = 0
        self.kept: list[People] = []
        self.directory = ParticipantDirectory(
            answered_client(self._answer),
            now=lambda: self.time,
        )

    def finder(self, arrived_at: float = ARRIVED, **changes: Any) -> PeopleFinder:
        fields: dict[str, Any] = {
            "directory": self.directory,
            "arrived_at": arrived_at,
            "came_at": arrived_at,
            "now": lambda: self.time,
            "check_user_ids": True,
            "asked_before": None,
            "keep": self._keep,
        }
        return PeopleFinder(**(fields | changes))

    async def _keep(self, people: People) -> None:
        self.kept.append(people)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        del request
        self.reads += 1
        rows = [
            {"id": user_id, "custom_participant_id": custom}
            for user_id, custom in self.people.items()
        ]
        paging = {"total_count": len(rows), "start_offset": 1, "end_offset": len(rows)}
        return httpx.Response(200, json={"success": True, "data": rows, "paging": paging})


def start(*custom_ids: str, **fields: Any) -> StartTrackRecording:
    if custom_ids:
        fields["custom_participant_ids"] = custom_ids
    return StartTrackRecording(id="s", meeting_id=MEETING, **fields)


async def test_a_start_uses_a_read_that_began_shortly_before_its_arrival() -> None:
    stub = StubParticipants()
    await stub.finder().find(start("ann"))
    stub.time += 60.0  # it waited in the queue
    await stub.finder(ARRIVED + BURST_SECONDS).find(start("ann"))
    assert stub.reads == 1


async def test_a_participant_who_got_the_custom_id_before_that_is_recorded_too() -> None:
    stub = StubParticipants()
    await stub.finder().find(start("ann"))
    stub.people["u-ann-2"] = "ann"
    stub.time += BURST_SECONDS + 0.1
    people = await stub.finder(stub.time).find(start("ann"))
    assert people.user_ids == ("u-ann", "u-ann-2")


async def test_a_participant_added_in_a_burst_is_found_by_a_separate_read() -> None:
    stub = StubParticipants()
    await stub.finder().find(start("ann"))
    stub.people["u-bob"] = "bob"
    stub.time += 0.5
    assert (await stub.finder(stub.time).find(start("bob"))).user_ids == ("u-bob",)
    assert stub.reads == 2


@pytest.mark.parametrize("command", [start("bob"), start(user_ids=("u-bob",))])
async def test_an_id_that_nobody_has_is_refused_only_when_everybody_must_be_listed(
    command: StartTrackRecording,
) -> None:
    stub = StubParticipants()
    with pytest.raises(Unavailable) as unavailable:
        await stub.finder().find(command)
    assert unavailable.value.code == "unknown_participant"
    stub.time += LIST_LAG_SECONDS
    with pytest.raises(Refused):
        await stub.finder(stub.time, came_at=ARRIVED).find(command)
    assert stub.reads == 2


async def test_a_start_that_waited_for_its_turn_is_refused_by_a_read_late_enough() -> None:
    stub = StubParticipants()
    await stub.finder().find(start("ann"))
    stub.people["u-bob"] = "bob"
    stub.time += 30.0
    assert (await stub.finder().find(start("bob"))).user_ids == ("u-bob",)
    with pytest.raises(Refused):
        await stub.finder().find(start("cleo"))
    assert stub.reads == 2


async def test_a_clock_that_went_back_delays_a_refusal_and_does_not_hasten_it() -> None:
    stub = StubParticipants()
    with pytest.raises(Unavailable):
        await stub.finder(came_at=ARRIVED + 3600.0).find(start("bob"))


async def test_people_of_custom_ids_are_kept_before_the_call_and_named_users_are_not() -> None:
    stub = StubParticipants()
    people = await stub.finder().find(start("ann"))
    assert stub.kept == [people] == [People(user_ids=("u-ann",), custom_ids={"u-ann": "ann"})]
    await stub.finder().find(start(user_ids=("u-ann",)))
    assert len(stub.kept) == 1


async def test_the_people_of_an_earlier_call_are_asked_for_again_without_a_read() -> None:
    stub = StubParticipants()
    before = People(user_ids=("u-gone",))
    assert await stub.finder(asked_before=before).find(start("ann")) == before
    assert (stub.reads, stub.kept) == (0, [])


async def test_the_people_of_a_lost_claim_are_not_returned() -> None:
    async def lose(people: People) -> None:
        raise LeaseLost("lease_lost", str(people))

    with pytest.raises(LeaseLost):
        await StubParticipants().finder(keep=lose).find(start("ann"))


@pytest.mark.parametrize(
    ("command", "if_checked", "if_not"),
    [
        (start(), False, False),
        (start(user_ids=("u-ann",)), True, False),
        (start("ann"), True, True),
    ],
)
def test_participants_are_read_only_for_starts_that_name_people(
    command: StartTrackRecording, if_checked: bool, if_not: bool
) -> None:
    assert names_people(command, check_user_ids=True) is if_checked
    assert names_people(command, check_user_ids=False) is if_not
