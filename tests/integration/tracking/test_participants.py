"""Events name the participant who owns a file, and the people who have none."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from recording_sandbox.model.faults import Fault
from recording_schemas import Status
from tests.integration.tracking_bench import TrackingBench, on_both_engines, open_bench
from worker.store.read_schedule import ScheduledRead

Missing = list[tuple[str | None, str | None, bool]]


@pytest.fixture
async def bench(usual_database_url: str) -> AsyncIterator[TrackingBench]:
    async with open_bench(usual_database_url) as opened:
        opened.sandbox.meetings.create(opened.meeting)
        yield opened


def join(bench: TrackingBench, own_id: str, *, mute: bool = False, **more: str) -> str:
    """A participant joins; returns the participant id."""
    person = bench.sandbox.meetings.register(bench.meeting, own_id, **more)
    bench.sandbox.meetings.join(bench.meeting, person.id, mute=mute)
    return person.id


async def record(
    bench: TrackingBench, kind: Any = "track", *, seconds: float = 20, **layers: Any
) -> str:
    """Record for a while and stop; returns the recording's id."""
    recording_id = await bench.start(kind, **layers)
    await bench.run_due(seconds)
    await bench.api.control_recording(recording_id, "stop")
    return recording_id


async def follow(bench: TrackingBench, seconds: float = 150.0) -> None:
    for _ in range(int(seconds / 5)):
        await bench.run_due(5)


async def files(bench: TrackingBench, recording_id: str) -> list[dict[str, Any]]:
    return await bench.event_data(recording_id, "recording.file_ready.v1")


async def missing(bench: TrackingBench, recording_id: str) -> list[Missing | None]:
    """The people without a file on each `completed` event."""
    events = await bench.event_data(recording_id, "recording.completed.v1")
    return [_missing(event["participants_without_file"]) for event in events]


def _missing(people: list[dict[str, Any]] | None) -> Missing | None:
    if people is None:
        return None
    return [
        (person["user_id"], person["custom_participant_id"], person["joined"]) for person in people
    ]


@on_both_engines
async def test_a_file_names_its_participant_and_the_stay(bench: TrackingBench) -> None:
    alice = join(bench, "alice@example.com", name="Alice Ä", preset_name="host")
    stays = bench.sandbox.meetings.get(bench.meeting).session.presences  # type: ignore[union-attr]
    recording_id = await bench.start()
    await bench.run_due(20)
    bench.sandbox.meetings.rejoin(bench.meeting, alice)
    await bench.run_due(20)
    await bench.api.control_recording(recording_id, "stop")
    await follow(bench)
    first, second = stays
    participants = [file["participant"] for file in await files(bench, recording_id)]
    common = {
        "user_id": alice,
        "custom_participant_id": "alice@example.com",
        "display_name": "Alice Ä",
        "preset_name": "host",
    }
    without_times = [{**person, "joined_at": None, "left_at": None} for person in participants]
    assert without_times == [
        {**common, "peer_id": stay.peer_id, "joined_at": None, "left_at": None} for stay in stays
    ]
    moments = [
        datetime.fromisoformat(participant["joined_at"]).timestamp() - stay.joined_at
        for participant, stay in zip(participants, stays, strict=True)
    ]
    assert max(map(abs, moments)) < 0.001
    assert participants[0]["left_at"] == participants[1]["joined_at"]
    assert (first.left_at, participants[1]["left_at"]) == (second.joined_at, None)
    assert await missing(bench, recording_id) == [[]]


async def test_the_file_of_a_composite_has_no_participant_and_its_completion_no_people(
    bench: TrackingBench,
) -> None:
    join(bench, "alice")
    recording_id = await record(bench, "composite")
    await follow(bench, 20)
    assert {file["participant"] for file in await files(bench, recording_id)} == {None}
    assert await missing(bench, recording_id) == [None]


async def test_somebody_who_was_there_but_mute_is_named(bench: TrackingBench) -> None:
    join(bench, "speaker")
    silent = join(bench, "silent", mute=True)
    recording_id = await record(bench)
    await follow(bench)
    assert await missing(bench, recording_id) == [[(silent, "silent", True)]]


@on_both_engines
async def test_people_asked_for_are_named_whether_they_joined_or_not(bench: TrackingBench) -> None:
    speaker = join(bench, "speaker")
    silent = join(bench, "silent", mute=True)
    join(bench, "nobody asked for me", mute=True)
    absent = bench.sandbox.meetings.register(bench.meeting, "absent").id
    asked = (absent, speaker, silent)
    recording_id = await record(bench, user_ids=list(asked), context={"custom_ids": {absent: "me"}})
    await follow(bench)
    assert await missing(bench, recording_id) == [[(absent, "me", False), (silent, "silent", True)]]


async def test_a_recording_without_any_file_names_everybody_asked_for(
    bench: TrackingBench,
) -> None:
    silent = join(bench, "silent", mute=True)
    absent = bench.sandbox.meetings.register(bench.meeting, "absent").id
    recording_id = await record(bench, user_ids=[silent, absent])
    bench.take_operations()
    await follow(bench)
    assert await missing(bench, recording_id) == [[(silent, "silent", True), (absent, None, False)]]
    assert bench.take_operations().count("list_participants") == 1


async def test_ids_that_nobody_has_are_named(bench: TrackingBench) -> None:
    join(bench, "alice")
    recording_id = await record(bench, user_ids=["alice"])
    await follow(bench)
    assert await missing(bench, recording_id) == [[("alice", None, False)]]


async def test_a_person_who_rejoins_and_speaks_once_is_not_missing(bench: TrackingBench) -> None:
    join(bench, "other")
    alice = join(bench, "alice", mute=True)
    recording_id = await bench.start()
    await bench.run_due(10)
    bench.sandbox.meetings.rejoin(bench.meeting, alice)
    await bench.run_due(10)
    await bench.api.control_recording(recording_id, "stop")
    await follow(bench)
    assert await missing(bench, recording_id) == [[]]


async def test_a_person_who_was_there_outside_the_recording_is_not_missing(
    bench: TrackingBench,
) -> None:
    join(bench, "speaker")
    early = join(bench, "early", mute=True)
    bench.sandbox.clock.advance(5)
    bench.sandbox.meetings.leave(bench.meeting, early)
    bench.sandbox.clock.advance(5)
    recording_id = await record(bench)
    bench.sandbox.clock.advance(1)
    join(bench, "late", mute=True)
    await follow(bench)
    assert await missing(bench, recording_id) == [[]]


@on_both_engines
async def test_a_file_that_turns_up_later_takes_its_owner_off_the_list(
    bench: TrackingBench,
) -> None:
    first, second = join(bench, "first"), join(bench, "second")
    bench.sandbox.faults.add(
        Fault(kind="late_files", operation="start_track_recording", seconds=1000.0)
    )
    recording_id = await record(bench, user_ids=[first, second])
    await follow(bench, 60)
    assert await missing(bench, recording_id) == [[(second, "second", True)]]
    await bench.run_due(4000)
    await follow(bench, 60)
    assert await missing(bench, recording_id) == [[(second, "second", True)], []]


async def test_the_same_list_costs_no_second_read_of_the_participants(
    bench: TrackingBench,
) -> None:
    join(bench, "speaker")
    join(bench, "silent", mute=True)
    recording_id = await record(bench)
    bench.take_operations()
    await follow(bench, 60)
    assert len(await missing(bench, recording_id)) == 1
    assert bench.take_operations().count("list_participants") == 1


@on_both_engines
async def test_a_restart_while_files_are_awaited_keeps_who_has_none(bench: TrackingBench) -> None:
    join(bench, "speaker")
    silent = join(bench, "silent", mute=True)
    recording_id = await record(bench)
    while not await files(bench, recording_id):
        await bench.run_due(1)
    assert await missing(bench, recording_id) == []
    bench.restart()
    await follow(bench, 60)
    assert await missing(bench, recording_id) == [[(silent, "silent", True)]]


async def test_if_the_api_refuses_the_participants_nobody_is_named(
    bench: TrackingBench,
) -> None:
    join(bench, "speaker")
    bench.sandbox.faults.add(Fault(kind="refuse", operation="list_participants", status=404))
    recording_id = await record(bench)
    await follow(bench)
    (file,) = await files(bench, recording_id)
    assert file["participant"] is None
    assert await missing(bench, recording_id) == [None]


def refuse(operation: str, status: int, count: int | None = None) -> Fault:
    return Fault(kind="refuse", operation=operation, status=status, count=count)


def fail_the_upload(bench: TrackingBench) -> None:
    bench.sandbox.faults.add(Fault(kind="fails_to_upload", operation="start_track_recording"))


@on_both_engines
async def test_a_failed_recording_names_everybody_who_was_there(bench: TrackingBench) -> None:
    speaker = join(bench, "speaker")
    fail_the_upload(bench)
    recording_id = await record(bench)
    await follow(bench, 10)
    assert await missing(bench, recording_id) == [[(speaker, "speaker", True)]]
    published = await bench.published(recording_id)
    assert published[-2:] == ["ERRORED", "completed 0"]


async def test_a_failed_recording_names_everybody_asked_for(bench: TrackingBench) -> None:
    speaker = join(bench, "speaker")
    absent = bench.sandbox.meetings.register(bench.meeting, "absent").id
    fail_the_upload(bench)
    recording_id = await record(bench, user_ids=[speaker, absent])
    await follow(bench, 10)
    assert await missing(bench, recording_id) == [
        [(speaker, "speaker", True), (absent, None, False)]
    ]


async def test_the_people_of_a_recording_that_a_webhook_ends_cost_one_request(
    bench: TrackingBench,
) -> None:
    speaker = join(bench, "speaker")
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.take_operations()
    await bench.apply_webhook(recording_id, Status.ERRORED)
    assert await missing(bench, recording_id) == []
    await bench.refresher.read_due()
    assert await missing(bench, recording_id) == [[(speaker, "speaker", True)]]
    assert bench.take_operations() == ["list_participants"]


@on_both_engines
async def test_the_completion_of_a_failed_recording_waits_for_participants_for_a_while(
    bench: TrackingBench,
) -> None:
    speaker = join(bench, "speaker")
    bench.sandbox.faults.add(refuse("list_participants", 503, count=2))
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, Status.ERRORED)
    await bench.refresher.read_due()
    bench.restart()
    assert await missing(bench, recording_id) == []
    await follow(bench, 20)
    assert await missing(bench, recording_id) == [[(speaker, "speaker", True)]]
    assert not (await bench.stored(recording_id)).is_open


@pytest.mark.parametrize(("status", "seconds"), [(503, 125), (404, 5)])
async def test_a_failed_recording_completes_even_if_its_participants_cannot_be_read(
    bench: TrackingBench, status: int, seconds: float
) -> None:
    join(bench, "speaker")
    bench.sandbox.faults.add(refuse("list_participants", status))
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, Status.ERRORED)
    await follow(bench, seconds)
    assert await missing(bench, recording_id) == [None]


async def test_a_failed_recording_completes_while_the_api_is_away(bench: TrackingBench) -> None:
    join(bench, "speaker")
    recording_id = await bench.start()
    await bench.run_due(2)
    await bench.apply_webhook(recording_id, Status.ERRORED)
    bench.sandbox.faults.add(Fault(kind="refuse", status=503))
    await follow(bench, 300)
    assert await missing(bench, recording_id) == [None]


async def test_a_recording_that_stalls_names_everybody_who_was_there(bench: TrackingBench) -> None:
    speaker = join(bench, "speaker")
    bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    recording_id = await bench.start()
    await follow(bench)
    assert await missing(bench, recording_id) == [[(speaker, "speaker", True)]]


@pytest.mark.parametrize("status", [Status.RECORDING, Status.UPLOADED])
async def test_a_recording_that_vanishes_names_everybody_who_was_there(
    bench: TrackingBench, status: Status
) -> None:
    speaker = join(bench, "speaker")
    recording_id = await bench.start()
    await bench.run_due(2)
    bench.sandbox.faults.add(refuse("get_recording", 404))
    if status is Status.UPLOADED:
        await bench.apply_webhook(recording_id, status)
    else:
        bench.sandbox.faults.add(refuse("list_recordings", 503))
        await bench.store.schedule_read(
            ScheduledRead(ids=(recording_id,), at=bench.now().timestamp())
        )
    await follow(bench)
    assert await missing(bench, recording_id) == [[(speaker, "speaker", True)]]


async def test_without_participants_it_is_known_that_everybody_asked_for_has_a_file(
    bench: TrackingBench,
) -> None:
    speaker = join(bench, "speaker")
    absent = bench.sandbox.meetings.register(bench.meeting, "absent").id
    bench.sandbox.faults.add(refuse("list_participants", 403))
    for asked, expected in (([speaker], [[]]), ([speaker, absent], [None])):
        recording_id = await record(bench, user_ids=asked)
        await follow(bench)
        assert await missing(bench, recording_id) == expected


@on_both_engines
async def test_names_from_outside_are_bounded(bench: TrackingBench) -> None:
    join(bench, "alice", name="Ä" * 5000, preset_name="p" * 5000)
    recording_id = await record(bench)
    await follow(bench)
    (file,) = await files(bench, recording_id)
    lengths = [len(file["participant"][name]) for name in ("display_name", "preset_name")]
    assert lengths == [256, 256]


async def test_an_own_id_that_is_too_long_is_left_out_and_never_cut(bench: TrackingBench) -> None:
    join(bench, "x" * 257)
    recording_id = await record(bench)
    await follow(bench)
    (file,) = await files(bench, recording_id)
    assert file["participant"]["custom_participant_id"] is None


@on_both_engines
async def test_an_own_id_with_a_nul_character_costs_no_event(bench: TrackingBench) -> None:
    silent = join(bench, "a\x00b", name="n\x00", mute=True)
    join(bench, "c\x00d", name="m\x00")
    recording_id = await record(bench)
    await follow(bench)
    (file,) = await files(bench, recording_id)
    assert file["participant"]["display_name"] == "m\x00"
    assert await missing(bench, recording_id) == [[(silent, "a\x00b", True)]]
