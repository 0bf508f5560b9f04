"""The store behaves alike on both engines."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from recording_schemas import Status
from tests.store_requests import claim_request, observation_of, success_of
from worker.domain.errors import StoreUnavailable, WrongSettings
from worker.domain.meeting_participants import People
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.database.engine import open_engine
from worker.store.finishing import FinishRequest
from worker.store.leases import LeaseRequest
from worker.store.outbox import Reply
from worker.store.outbox_marks import Deferral, PageMarks
from worker.store.people_of_starts import PeopleOfStart
from worker.store.pruning import PruneRequest
from worker.store.queries import RecordingsFilter, Staleness
from worker.store.read_schedule import ScheduledRead
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store
from worker.store.unsent_events import OutboxDepth

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def claim(command_id: str = "c1", **changes: Any) -> ClaimRequest:
    place = {"app": "default", "slot": "m1/track", "meeting_id": "m1"}
    return claim_request(command_id, **(place | changes))


def finish(
    command_id: str = "c1", *observations: Observation, reply: Reply | None = None
) -> FinishRequest:
    return success_of(command_id, *observations, at=NOW, reply=reply, now=1001.0)


def observation(
    status: Status = Status.INVOKED,
    recording_id: str = "r1",
    start_id: str | None = "c1",
    at: datetime = NOW,
    **more: Any,
) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=status, kind="track", meeting_id="m1"
    )
    start = StartContext(start_id=start_id) if start_id else None
    return observation_of(snapshot, at, start=start, **more)


async def unsent_types(store: Store) -> list[str]:
    return [event.routing_key for event in await store.unsent(100)]


async def test_a_new_command_is_claimed_as_new_and_may_call(store: Store) -> None:
    claimed = await store.claim(claim())
    assert (claimed.verdict, claimed.attempts, claimed.called_at) == ("new", 1, None)
    assert claimed.may_call


async def test_a_command_that_another_owner_executes_is_busy_until_its_lease_ends(
    store: Store,
) -> None:
    await store.claim(claim())
    assert (await store.claim(claim(owner="other", now=1059.0))).verdict == "busy"
    taken = await store.claim(claim(owner="other", now=1061.0))
    assert (taken.verdict, taken.attempts) == ("again", 2)


async def test_a_claim_after_a_crash_says_when_the_first_call_may_have_gone_out(
    store: Store,
) -> None:
    await store.claim(claim(now=1000.0))
    again = await store.claim(claim(now=1010.0))
    assert (again.called_at, again.may_call) == (1000.0, False)


async def test_a_call_whose_answer_was_lost_may_be_made_again_once_it_has_settled(
    store: Store,
) -> None:
    await store.claim(claim(now=1000.0))
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert not (await store.claim(claim(now=1029.0))).may_call
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    settled = await store.claim(claim(now=1031.0))
    assert (settled.may_call, settled.called_at) == (True, 1000.0)
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert not (await store.claim(claim(now=1032.0))).may_call, "the second call settles anew"


async def test_a_call_settles_from_the_time_it_went_out_not_from_its_claim(store: Store) -> None:
    await store.claim(claim(now=1000.0))
    late = ReleaseRequest(command_id="c1", uncertain=True, last_error="{}", called_until=1025.0)
    await store.release(late)
    assert not (await store.claim(claim(now=1054.0))).may_call
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert (await store.claim(claim(now=1056.0))).may_call


async def test_a_process_that_died_may_have_called_until_it_died(store: Store) -> None:
    await store.claim(claim(now=1000.0))
    assert not (await store.claim(claim(owner="other", now=1061.0))).may_call
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert not (await store.claim(claim(owner="other", now=1089.0))).may_call
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert (await store.claim(claim(owner="other", now=1091.0))).may_call


@pytest.mark.parametrize("uncertain", [True, False])
async def test_only_a_start_that_was_certainly_not_executed_frees_its_slot(
    store: Store, uncertain: bool
) -> None:
    await store.claim(claim(now=1000.0))
    await store.release(ReleaseRequest(command_id="c1", uncertain=uncertain, last_error="{}"))

    other = await store.claim(claim("c2", now=1005.0))

    assert other.verdict == ("busy" if uncertain else "new")


async def test_a_start_that_was_certainly_not_executed_may_call_again(store: Store) -> None:
    await store.claim(claim(now=1000.0))
    await store.release(ReleaseRequest(command_id="c1", uncertain=False, last_error='{"a":1}'))
    again = await store.claim(claim(now=1005.0))
    assert (again.verdict, again.called_at, again.may_call) == ("again", None, True)
    assert (again.attempts, again.first_seen_at, again.last_error) == (2, 1000.0, '{"a":1}')


async def test_a_meeting_and_kind_have_one_start_at_a_time(store: Store) -> None:
    await store.claim(claim("c1"))
    assert (await store.claim(claim("c2"))).verdict == "busy"
    assert (await store.claim(claim("c3", slot="m1/composite"))).verdict == "new"
    await store.finish(finish("c1"))
    assert (await store.claim(claim("c2"))).verdict == "new"


async def test_a_start_that_may_have_been_executed_keeps_other_starts_out(
    store: Store,
) -> None:
    await store.claim(claim("c1"))
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert (await store.claim(claim("c2"))).verdict == "busy"
    await store.claim(claim("c1", now=1100.0))
    await store.release(ReleaseRequest(command_id="c1", uncertain=False, last_error="{}"))
    assert (await store.claim(claim("c2"))).verdict == "new"


async def test_a_start_past_its_age_keeps_no_other_start_out(store: Store) -> None:
    await store.claim(claim("c1", now=1000.0))
    assert (await store.claim(claim("c2", now=9000.0, abandoned_before=5000.0))).verdict == "new"
    assert (await store.claim(claim("c3", now=9001.0, abandoned_before=5000.0))).verdict == "busy"


async def test_the_store_knows_which_start_began_a_recording(store: Store) -> None:
    await store.apply((observation(recording_id="theirs", start_id="other"),))
    await store.apply((observation(Status.UPLOADED, recording_id="ended", start_id="over"),))
    await store.apply((observation(recording_id="nobodys", start_id=None),))
    found = [await store.find_start_id(name) for name in ("theirs", "ended", "nobodys", "none")]
    assert found == ["other", "over", None, None]


async def test_a_start_claimed_again_gets_all_recordings_of_its_meeting_and_a_stop_the_live_ones(
    store: Store,
) -> None:
    for status, recording_id in ((Status.INVOKED, "live"), (Status.UPLOADED, "ended")):
        await store.apply((observation(status, recording_id, start_id=f"of-{recording_id}"),))
    await store.claim(claim())
    again = await store.claim(claim(now=1001.0))
    stop = await store.claim(claim("stop", command_type="stop_recording", slot=None))
    assert {recording.recording_id for recording in again.known_recordings} == {"live", "ended"}
    assert [recording.recording_id for recording in stop.known_recordings] == ["live"]


async def test_news_of_a_known_recording_do_not_wait_for_a_start_that_may_have_begun_it(
    store: Store,
) -> None:
    await store.apply((observation(start_id=None),))
    await store.apply((observation(Status.RECORDING, start_id=None, awaits_start=True),))
    (known,) = await store.recordings(RecordingsFilter())
    assert known.status is Status.RECORDING


async def test_a_stop_gets_the_recording_and_the_state_of_its_start(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, meeting_id=None, start_id="c1")
    assert (await store.claim(stop)).start_state is None
    await store.claim(claim("c1"))
    assert (await store.claim(stop)).start_state == "pending"
    await store.finish(finish("c1", observation()))
    claimed = await store.claim(stop)
    assert claimed.start_state == "done"
    assert [recording.recording_id for recording in claimed.known_recordings] == ["r1"]


async def test_a_stop_of_a_meeting_gets_the_number_of_its_unfinished_starts(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, rival_slots=("m1/track", "m1/composite"))
    await store.claim(claim("c1"))
    assert (await store.claim(stop)).pending_starts == 1
    await store.finish(finish("c1", observation()))
    claimed = await store.claim(stop)
    assert (
        claimed.pending_starts,
        [recording.recording_id for recording in claimed.known_recordings],
    ) == (0, ["r1"])


async def test_a_finish_that_fails_half_way_commits_nothing(
    store: Store, engine: sa.Engine
) -> None:
    await store.finish(finish("c0"))
    await store.claim(claim())
    with engine.begin() as connection:  # no second outcome, which is written last
        connection.exec_driver_sql("CREATE UNIQUE INDEX one_per_exchange ON outbox (exchange)")

    with pytest.raises(IntegrityError):
        await store.finish(finish("c1", observation()))

    assert await store.find_tracked(["r1"]) == {}
    assert (await store.claim(claim(now=1001.0))).verdict == "again"


async def test_finishing_adds_the_event_of_the_status_and_then_the_outcome(store: Store) -> None:
    await store.claim(claim())
    applied = await store.finish(finish("c1", observation()))
    assert (applied.recordings[0].status, applied.events) == (Status.INVOKED, 1)
    assert await unsent_types(store) == ["track.invoked", "start_track_recording.succeeded"]


async def test_a_repeated_command_has_its_stored_outcome_published_again_with_the_same_id(
    store: Store,
) -> None:
    await store.claim(claim())
    await store.finish(finish("c1"))
    first = await store.unsent(10)
    await store.mark_page(PageMarks(sent=[event.position for event in first]), 1002.0)
    assert (await store.claim(claim(now=2000.0))).verdict == "done"
    again = await store.unsent(10)
    assert [event.event_id for event in again] == [event.event_id for event in first]
    assert again[0].body == first[0].body


async def test_a_repeat_is_answered_while_the_first_outcome_is_in_flight(store: Store) -> None:
    await store.claim(claim())
    await store.finish(finish("c1"))
    on_its_way = await store.unsent(10)
    assert (await store.claim(claim(now=1001.0))).verdict == "done"
    await store.mark_page(PageMarks(sent=[event.position for event in on_its_way]), 1002.0)
    assert [event.event_id for event in await store.unsent(10)] == [
        event.event_id for event in on_its_way
    ]


async def test_repeats_of_an_outcome_that_the_broker_refuses_do_not_pile_up(store: Store) -> None:
    await store.claim(claim())
    await store.finish(finish("c1"))
    [refused] = await store.unsent(10)
    deferral = Deferral(position=refused.position, retry_at=1100.0, tries=1, losses=0, error="full")
    await store.mark_page(PageMarks(deferred=[deferral]), 1001.0)
    for n in range(3):
        await store.claim(claim(now=1002.0 + n))
    assert (await store.outbox_depth()).events == 1


@pytest.mark.parametrize("tried", ["nothing", "the oldest", "a poisonous one"])
async def test_a_refused_event_becomes_ready_if_none_of_its_destination_is_due_soon(
    store: Store, tried: str
) -> None:
    for number in range(3):
        await store.claim(claim(f"c{number}"))
        await store.finish(finish(f"c{number}"))
    refused = await store.unsent(10)
    first, second, _ = (event.position for event in refused)
    deferred = {
        event.position: Deferral(
            position=event.position, retry_at=4600.0, tries=1, losses=0, error="full"
        )
        for event in refused
    }
    if tried != "nothing":
        losses = int(tried == "a poisonous one")
        deferred[first] = msgspec.structs.replace(deferred[first], retry_at=1030.0, losses=losses)
    await store.mark_page(PageMarks(deferred=list(deferred.values())), 1001.0)

    ready = await store.unsent(10, now=1002.0, resume=True, next_try_by=1032.0)

    expected = {"nothing": [first], "the oldest": [], "a poisonous one": [second]}
    assert [event.position for event in ready] == expected[tried]


async def test_a_burst_of_repeats_shares_one_publication_but_every_reply_is_sent(
    store: Store,
) -> None:
    await store.claim(claim())
    await store.finish(finish("c1"))
    first = await store.unsent(10)
    await store.mark_page(PageMarks(sent=[event.position for event in first]), 1002.0)
    repeats = [claim(reply=Reply(reply_to=f"asker-{n}")) for n in range(3)]
    await asyncio.gather(*(store.claim(repeat) for repeat in repeats))
    waiting = await store.unsent(10)
    assert [event.exchange for event in waiting].count("results") == 1
    assert sorted(event.routing_key for event in waiting if event.exchange == "reply") == [
        "asker-0",
        "asker-1",
        "asker-2",
    ]


async def test_an_outcome_also_goes_to_the_reply_queue(store: Store) -> None:
    await store.claim(claim())
    await store.finish(finish("c1", reply=Reply(reply_to="asker", correlation_id="x")))
    result, reply = await store.unsent(10)
    assert (result.exchange, reply.exchange, reply.routing_key) == ("results", "reply", "asker")
    assert (reply.event_id, reply.body) == (result.event_id, result.body)
    assert (result.correlation_id, reply.correlation_id) == ("c1", "x")


async def test_concurrent_observations_publish_each_fact_once(store: Store) -> None:
    await asyncio.gather(*(store.apply((observation(Status.RECORDING),)) for _ in range(20)))
    assert await unsent_types(store) == ["track.recording"]


async def test_two_stores_on_one_postgresql_publish_each_fact_once(
    replicas: tuple[Store, Store],
) -> None:
    observations = [
        observation(Status.RECORDING, recording_id=f"r{n}", start_id=None) for n in range(30)
    ]
    await asyncio.gather(*(store.apply((item,)) for item in observations for store in replicas))
    waiting = await replicas[0].unsent(100)
    assert sorted(event.subject for event in waiting) == sorted(f"r{n}" for n in range(30))


async def test_two_stores_on_one_postgresql_publish_each_change_of_a_known_recording_once(
    replicas: tuple[Store, Store],
) -> None:
    names = [f"r{n}" for n in range(30)]
    for status in (Status.INVOKED, Status.RECORDING, Status.UPLOADING):
        observations = [observation(status, recording_id=name, start_id=None) for name in names]
        await asyncio.gather(*(store.apply((item,)) for item in observations for store in replicas))
    waiting = await replicas[0].unsent(1000)
    assert len(waiting) == len({event.event_id for event in waiting}) == 90


async def test_two_stores_on_one_postgresql_claim_one_start_per_meeting(
    replicas: tuple[Store, Store],
) -> None:
    for n in range(20):
        claims = [
            store.claim(claim(f"{n}-{i}", owner=str(i), slot=f"m{n}/track"))
            for i, store in enumerate(replicas)
        ]
        verdicts = sorted(claimed.verdict for claimed in await asyncio.gather(*claims))
        assert verdicts == ["busy", "new"]


async def test_a_second_recording_of_a_start_is_followed_as_an_external_recording(
    store: Store,
) -> None:
    await store.claim(claim())
    finishes = (finish("c1", observation()), finish("c1", observation(recording_id="r2")))
    await asyncio.gather(*(store.finish(request) for request in finishes))
    await store.finish(finish("c1", observation(recording_id="r3")))
    await store.finish(finish("c1", observation(Status.RECORDING)))
    known = {
        recording.recording_id: recording
        for recording in await store.recordings(RecordingsFilter())
    }
    assert {recording_id: recording.start_id for recording_id, recording in known.items()} == {
        "r1": "c1",
        "r2": None,
        "r3": None,
    }
    assert {recording_id: recording.surplus_of for recording_id, recording in known.items()} == {
        "r1": None,
        "r2": "c1",
        "r3": "c1",
    }
    assert all(recording.is_open for recording in known.values())
    assert known["r1"].status is Status.RECORDING


async def test_a_claim_lasts_until_its_lease_ends_by_the_clock_of_postgresql(
    postgresql: Any,
) -> None:
    store = await Store.open(postgresql.new_database(), source="test")
    now = store.now()
    await store.claim(claim("lasts", slot="lasts", owner="me", now=now))
    await store.claim(claim("over", slot="over", owner="me", now=now - 3600))
    await store.claim(claim("taken", slot="taken", owner="me", now=now - 3600))
    await store.claim(claim("taken", slot="taken", owner="other", now=now))
    claims_held = [
        await store.holds_command(command_id, "me", now)
        for command_id in ("lasts", "over", "taken", "never")
    ]
    assert claims_held == [True, False, False, False]
    await store.close()


async def test_a_stop_of_a_start_means_its_surplus_recordings_too(store: Store) -> None:
    await store.claim(claim())
    for recording_id in ("r1", "r2", "r2", "r3"):
        await store.finish(finish("c1", observation(recording_id=recording_id)))
    stop = claim("stop", slot=None, meeting_id=None, start_id="c1", cancels_starts=True)
    claimed = await store.claim(stop)
    known = {recording.recording_id for recording in claimed.known_recordings}
    assert known == {"r1", "r2", "r3"}


async def test_a_start_in_one_commit_with_its_stop_is_cancelled_or_waited_for(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, meeting_id=None, start_id="c1", cancels_starts=True)
    _, start = await asyncio.gather(store.claim(stop), store.claim(claim("c1")))
    assert start.cancelled_by == "stop"
    start, later = await asyncio.gather(
        store.claim(claim("c2", slot="m2/track")),
        store.claim(msgspec.structs.replace(stop, command_id="stop-2", start_id="c2")),
    )
    assert (start.cancelled_by, later.start_state) == (None, "pending")
    await store.release(ReleaseRequest(command_id="c2", uncertain=False, last_error="{}"))
    again = await store.claim(claim("c2", slot="m2/track"))
    assert (again.cancelled_by, again.may_call) == ("stop-2", False)


async def test_a_stop_that_is_claimed_again_does_not_affect_later_starts(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, rival_slots=("m1/track",), cancels_starts=True)
    await store.claim(stop)
    await store.claim(claim("later"))
    await store.release(ReleaseRequest(command_id="later", uncertain=False, last_error="{}"))
    again = await store.claim(stop)
    assert (again.pending_starts, again.cancelled_starts) == (0, ())
    assert (await store.claim(claim("later"))).cancelled_by is None


async def test_a_postponed_stop_does_not_affect_starts_that_arrived_meanwhile(
    store: Store,
) -> None:
    for command_id, now in (("earlier", 1000.0), ("later", 1010.0)):
        await store.claim(claim(command_id, now=now))
        await store.release(ReleaseRequest(command_id=command_id, uncertain=False, last_error="{}"))
    stop = claim(
        "stop",
        slot=None,
        rival_slots=("m1/track",),
        cancels_starts=True,
        first_seen=1005.0,
        now=1020.0,
    )
    claimed = await store.claim(stop)
    assert [start.command_id for start in claimed.cancelled_starts] == ["earlier"]
    assert (await store.claim(claim("later", now=1021.0))).cancelled_by is None


async def test_a_stop_that_expired_after_it_was_executed_still_cancels_the_starts_before_it(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, rival_slots=("m1/track",), cancels_starts=True, now=1000.0)
    await store.claim(stop)
    await store.claim(msgspec.structs.replace(stop, now=1300.0, finish_only=True))
    await store.finish(finish("stop"))
    postponed = claim("start", now=1301.0, first_seen=999.0)
    assert (await store.claim(postponed)).cancelled_by == "stop"


@pytest.mark.parametrize("slot", ["m1/composite", "m2/track"])
async def test_a_stop_does_not_cancel_a_postponed_start_of_another_kind_or_meeting(
    store: Store, slot: str
) -> None:
    for command_id, rivals in (
        ("stop-tracks", ("m1/track",)),
        ("stop-all", ("m3/track", "m3/composite")),
    ):
        stop = claim(command_id, slot=None, rival_slots=rivals, cancels_starts=True, now=1000.0)
        await store.claim(stop)
    postponed = claim("start", slot=slot, now=1001.0, first_seen=999.0)
    assert (await store.claim(postponed)).cancelled_by is None


async def test_the_recordings_of_a_command_are_no_surplus_of_a_start(store: Store) -> None:
    await store.claim(claim())
    await store.finish(finish("c1", observation(recording_id="r1")))
    await store.claim(claim("pause", command_type="pause_recording", slot=None))
    released = ReleaseRequest(
        command_id="pause", uncertain=False, last_error="{}", acted_on=("r1",)
    )
    await store.release(released)
    await store.claim(claim("pause", command_type="pause_recording", slot=None))
    await store.finish(finish("pause"))
    stop = claim("stop", slot=None, meeting_id=None, start_id="pause", cancels_starts=True)
    assert (await store.claim(stop)).known_recordings == ()


async def test_a_cancelled_start_that_only_searches_does_not_delay_its_settlement(
    store: Store,
) -> None:
    uncertain = ReleaseRequest(command_id="c1", uncertain=True, last_error="{}")
    await store.claim(claim())
    await store.release(msgspec.structs.replace(uncertain, called_until=1000.0))
    await store.claim(claim("stop", slot=None, meeting_id=None, start_id="c1", cancels_starts=True))
    for now in (1031.0, 1035.0):
        looking = await store.claim(claim(now=now))
        assert (looking.cancelled_by, looking.may_call) == ("stop", True)
        await store.release(uncertain)


async def test_a_stop_for_another_app_cancels_no_start(store: Store) -> None:
    await store.claim(claim(slot="eu/m1/track", app="eu"))
    await store.release(ReleaseRequest(command_id="c1", uncertain=False, last_error="{}"))
    stop = claim("stop", slot=None, start_id="c1", cancels_starts=True)
    for app in ("us", "default", None):
        claimed = await store.claim(msgspec.structs.replace(stop, app=app))
        assert (claimed.start_state, claimed.cancelled_starts) == ("pending", ())
    claimed = await store.claim(msgspec.structs.replace(stop, app="eu"))
    assert [start.command_id for start in claimed.cancelled_starts] == ["c1"]


async def test_a_start_cancelled_in_advance_that_never_arrived_is_pruned_by_age(
    store: Store,
) -> None:
    stop = claim("stop", slot=None, meeting_id=None, start_id="never", cancels_starts=True)
    await store.claim(stop)
    assert (await store.prune_commands(PruneRequest(before=stop.now))).removed == 0
    assert (await store.prune_commands(PruneRequest(before=stop.now + 1))).removed == 1
    assert (await store.claim(claim("never"))).cancelled_by is None


async def test_two_stores_on_one_postgresql_give_a_start_one_recording(
    replicas: tuple[Store, Store],
) -> None:
    for n in range(20):
        finishes = [
            store.finish(finish(f"c{n}", observation(recording_id=f"{n}-{i}", start_id=f"c{n}")))
            for i, store in enumerate(replicas)
        ]
        await replicas[0].claim(claim(f"c{n}", slot=f"m{n}/track"))
        results = await asyncio.gather(*finishes)
        starts = [recording.start_id for result in results for recording in result.recordings]
        assert sorted(map(str, starts)) == ["None", f"c{n}"]


async def test_events_keep_the_order_of_their_commits_and_are_numbered_per_recording(
    store: Store,
) -> None:
    for status in (Status.INVOKED, Status.RECORDING, Status.UPLOADING):
        await store.apply((observation(status),))
    bodies = [msgspec.json.decode(event.body) for event in await store.unsent(10)]
    assert [body["data"]["status"] for body in bodies] == ["INVOKED", "RECORDING", "UPLOADING"]
    sequences = [body["sequence"] for body in bodies]
    assert sequences == sorted(sequences)
    assert len(set(sequences)) == 3


async def test_each_file_is_published_once(store: Store) -> None:
    files = (TrackFile(file_name="a.webm", media_kind="audio", download_url="https://x.test/a"),)
    await store.apply((observation(Status.UPLOADED, files=files),))
    await store.apply((observation(Status.UPLOADED, files=files),))
    assert await unsent_types(store) == ["track.uploaded", "track.audio.ready", "track.completed"]


async def test_an_event_marked_as_sent_is_not_read_again(store: Store) -> None:
    await store.apply((observation(),))
    (event,) = await store.unsent(10)
    assert await store.outbox_depth() == OutboxDepth(events=1, oldest_at=NOW.timestamp())
    await store.mark_page(PageMarks(sent=[event.position]), 1.0)
    assert await store.unsent(10) == []
    assert await store.outbox_depth() == OutboxDepth(events=0, oldest_at=None)


async def test_a_recording_is_open_until_it_has_ended_and_has_its_files(store: Store) -> None:
    await store.apply((observation(recording_id="live", start_id=None),))
    await store.apply((observation(Status.UPLOADED, recording_id="waits", start_id=None),))
    await store.apply((observation(Status.ERRORED, recording_id="over", start_id=None, files=()),))
    following = {
        recording.recording_id
        for recording in await store.recordings(RecordingsFilter())
        if recording.is_open
    }
    assert following == {"live", "waits"}
    assert await store.count_by_status() == {Status.INVOKED: 1, Status.UPLOADED: 1}


async def test_staleness_covers_only_live_recordings(store: Store) -> None:
    assert await store.staleness() == Staleness(unchanged_since={}, due_since=None)
    await store.apply((observation(recording_id="first", start_id=None, at=NOW),))
    later = NOW + timedelta(seconds=5)
    await store.apply((observation(recording_id="second", start_id=None, at=later),))
    await store.apply(
        (observation(Status.ERRORED, recording_id="over", start_id=None, at=NOW, files=()),)
    )
    await store.schedule_read(ScheduledRead(ids=["second"], at=9.0))
    staleness = await store.staleness()
    assert staleness == Staleness(unchanged_since={Status.INVOKED: NOW.timestamp()}, due_since=9.0)


async def test_recordings_can_be_found_by_their_start_command(store: Store) -> None:
    await store.apply((observation(),))
    (found,) = await store.recordings(RecordingsFilter(start_id="c1"))
    assert found.recording_id == "r1"
    assert await store.recordings(RecordingsFilter(status=Status.PAUSED)) == []


async def test_a_lease_is_held_by_one_owner_until_it_ends(store: Store) -> None:
    def request(owner: str, now: float) -> LeaseRequest:
        return LeaseRequest(name="leader", owner=owner, now=now, until=now + 10)

    assert await store.acquire_lease(request("a", 0))
    assert not await store.acquire_lease(request("b", 5))
    assert await store.acquire_lease(request("a", 8))
    assert not await store.acquire_lease(request("b", 15))
    assert await store.acquire_lease(request("b", 19))
    await store.release_leases("a")
    assert not await store.acquire_lease(request("a", 20))
    await store.release_leases("b")
    assert await store.acquire_lease(request("a", 20))


async def test_a_worker_that_opens_its_sqlite_file_again_need_not_wait_for_leases(
    sqlite_url: str,
) -> None:
    before = await Store.open(sqlite_url, source="test")
    await before.claim(claim(owner="before", now=1000.0))
    lease = LeaseRequest(name="leader", owner="before", now=1000.0, until=1060.0)
    assert await before.acquire_lease(lease)
    await before.close()
    after = await Store.open(sqlite_url, source="test")
    assert (await after.claim(claim(owner="after", now=1001.0))).verdict == "again"
    assert await after.acquire_lease(msgspec.structs.replace(lease, owner="after", now=1001.0))
    await after.close()


async def test_a_thousand_claims_at_once_share_few_transactions(store: Store) -> None:
    claims = [claim(f"c{n}", slot=None) for n in range(1000)]
    claimed: list[ClaimResult] = await asyncio.gather(*(store.claim(request) for request in claims))
    assert {result.verdict for result in claimed} == {"new"}


async def test_a_request_that_fails_does_not_fail_the_others_of_its_batch(store: Store) -> None:
    good = store.apply((observation(recording_id="good", start_id=None),))
    bad = store.apply((observation(recording_id="b" * 200, start_id="x" * 200),))
    results = await asyncio.gather(good, bad, return_exceptions=True)
    assert not isinstance(results[0], BaseException)


async def test_a_request_that_cannot_be_stored_leaves_no_rows(store: Store) -> None:
    good = observation(recording_id="a", start_id=None)
    bad = observation(recording_id="b", start_id=None)
    bad = msgspec.structs.replace(bad, snapshot=msgspec.structs.replace(bad.snapshot, kind="film"))
    with pytest.raises(IntegrityError):
        await store.apply((good, bad))  # in one statement
    await store.apply((observation(recording_id="c", start_id=None),))
    known = await store.recordings(RecordingsFilter())
    assert [recording.recording_id for recording in known] == ["c"]
    assert await unsent_types(store) == ["track.invoked"]


async def test_committed_rows_are_there_after_reopening(database_url: str) -> None:
    first = await Store.open(database_url, source="test")
    await first.claim(claim())
    await first.finish(finish("c1", observation()))
    await first.close()
    second = await Store.open(database_url, source="test")
    assert len(await second.unsent(10)) == 2
    assert (await second.claim(claim())).verdict == "done"
    await second.close()


async def test_the_error_of_a_missing_database_does_not_contain_the_password() -> None:
    with pytest.raises(StoreUnavailable) as raised:
        await Store.open("postgresql://joe:hunter2@127.0.0.1:1/none", source="test")
    assert "hunter2" not in repr(raised.value)


@pytest.mark.parametrize("url", ["mysql://x:hunter2@h/d", "hunter2", "sqlite+aiosqlite:///x"])
def test_a_url_of_an_unknown_database_is_a_wrong_setting_that_does_not_contain_the_url(
    url: str,
) -> None:
    with pytest.raises(WrongSettings) as raised:
        open_engine(url)
    assert "hunter2" not in str(raised.value)
    assert "DATABASE_URL" in str(raised.value)


@pytest.mark.parametrize("path", ["state.db", "./state.db", "link.db", "linked/state.db"])
async def test_a_second_worker_on_one_sqlite_file_is_refused_however_its_path_is_spelt(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "link.db").symlink_to("state.db")
    (tmp_path / "linked").symlink_to(tmp_path)
    first = await Store.open(f"sqlite:///{tmp_path}/state.db", source="test")
    with pytest.raises(StoreUnavailable, match=r"another worker uses .*/state\.db"):
        await Store.open(f"sqlite:///{tmp_path}/{path}", source="test")
    await first.close()
    await (await Store.open(f"sqlite:///{tmp_path}/{path}", source="test")).close()


async def test_a_link_to_itself_is_refused_as_a_database(tmp_path: Path) -> None:
    (tmp_path / "state.db").symlink_to("state.db")
    with pytest.raises(StoreUnavailable):
        await Store.open(f"sqlite:///{tmp_path}/state.db", source="test")


PEOPLE = People(user_ids=("u1", "u2"), custom_ids={"u1": "ann"})


async def test_people_are_kept_for_a_later_attempt_whose_call_may_have_been_executed(
    store: Store,
) -> None:
    assert (await store.claim(claim())).people is None
    assert await store.keep_people(PeopleOfStart(command_id="c1", owner="me", people=PEOPLE))
    assert (await store.claim(claim(owner="other", now=1061.0))).people == PEOPLE
    await store.release(
        ReleaseRequest(command_id="c1", uncertain=True, last_error="{}", owner="other")
    )
    assert (await store.claim(claim(now=1062.0))).people == PEOPLE


async def test_people_of_a_call_that_was_certainly_not_executed_are_forgotten(store: Store) -> None:
    await store.claim(claim())
    await store.keep_people(PeopleOfStart(command_id="c1", owner="me", people=PEOPLE))
    await store.release(ReleaseRequest(command_id="c1", uncertain=False, last_error="{}"))
    assert (await store.claim(claim())).people is None
    assert (await store.claim(claim(owner="other", now=2000.0))).people is None


async def test_people_are_not_kept_for_a_replica_that_lost_its_claim(store: Store) -> None:
    await store.claim(claim())
    await store.claim(claim(owner="other", now=1061.0))
    late = PeopleOfStart(command_id="c1", owner="me", people=PEOPLE)
    assert not await store.keep_people(late)
    await store.release(ReleaseRequest(command_id="c1", uncertain=True, last_error="{}"))
    assert not await store.keep_people(late)
    assert not await store.keep_people(PeopleOfStart(command_id="x", owner="me", people=PEOPLE))
    assert (await store.claim(claim(now=3000.0))).people is None
