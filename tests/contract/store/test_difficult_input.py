"""Input that a database may refuse, from publishers and the API, on both engines."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recording_schemas import CommandSucceeded, Status
from tests.store_requests import claim_request, observation_of
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.claims import ClaimRequest, ClaimResult
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.queries import RecordingsFilter
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
MEETING = "97440c6a-140b-40a9-9499-b23fd7a3868a"
SLOT = f"{MEETING}/track"


def claim(command_id: str = "c1", **changes: Any) -> ClaimRequest:
    place = {"app": "default", "slot": SLOT, "meeting_id": MEETING}
    return claim_request(command_id, **(place | changes))


def finish(command_id: str, reply: Reply, *observations: Observation) -> FinishRequest:
    data = CommandSucceeded(
        command_id=command_id,
        command_type="start_track_recording",
        recording_ids=("r1",),
        metadata=None,
    )
    record = outcome_record(
        data, source="test", at=NOW, correlation_id=reply.correlation_id, trace=reply.trace
    )
    return FinishRequest(outcome=record, reply=reply, observations=observations, now=1001.0)


def observation(
    recording_id: str = "r1", *, status: Status = Status.INVOKED, **more: Any
) -> Observation:
    fields: dict[str, Any] = {"meeting_id": MEETING, "kind": "track"} | more.pop("snapshot", {})
    snapshot = RecordingSnapshot(recording_id=recording_id, status=status, **fields)
    return observation_of(snapshot, NOW, **more)


async def doubtful(store: Store, command_id: str) -> None:
    """A start that may have been executed."""
    await store.claim(claim(command_id))
    await store.release(ReleaseRequest(command_id=command_id, uncertain=True, last_error="{}"))


# Text that PostgreSQL cannot hold


async def test_nul_characters_in_a_reply_address_do_not_prevent_the_outcome(
    store: Store,
) -> None:
    reply = Reply(reply_to="re\x00ply", correlation_id="\x00c", trace={"tracestate": "a\x00b"})
    await store.claim(claim(reply=reply))
    await store.finish(
        finish("c1", reply, observation(start=StartContext(start_id="c1", correlation_id="\x00")))
    )
    await store.claim(claim(reply=reply))
    exchanges = [event.exchange for event in await store.unsent(10)]
    assert exchanges == ["status", "results", "reply", "results", "reply"]


async def test_nul_characters_in_an_api_response_do_not_prevent_its_observation(
    store: Store,
) -> None:
    file = TrackFile(
        file_name="a\x00b.webm",
        media_kind="audio",
        user_id="u\x00",
        download_url="https://x.test/a",
    )
    fields = {"meeting_id": "m\x00", "output_file_name": "\x00", "error_message": "\x00"}
    for status in (Status.INVOKED, Status.UPLOADED, Status.UPLOADED):
        await store.apply([observation(status=status, snapshot=fields, files=(file,))])
    types = [event.event_type for event in await store.unsent(10)]
    assert types.count("recording.file_ready.v1") == 1
    assert types[-1] == "recording.completed.v1"


async def test_every_character_of_metadata_reaches_the_events(store: Store) -> None:
    own = {"note": "\x00first\n\u202esecond"}
    start = StartContext(start_id="c1", metadata=own)
    await store.apply([observation(start=start)])
    await store.apply([observation(status=Status.UPLOADING)])  # with what was stored
    events = [json.loads(event.body)["data"]["metadata"] for event in await store.unsent(10)]
    assert events == [own, own]


async def test_ids_longer_than_documented_do_not_prevent_an_observation(store: Store) -> None:
    fields = {"meeting_id": "m" * 5000, "session_id": "s" * 5000}
    await store.apply([observation(snapshot=fields, app="default")])
    (known,) = await store.recordings(RecordingsFilter(recording_id="r1"))
    assert known.meeting_id == "m" * 5000


# One id, several commands


@pytest.mark.parametrize(
    "other",
    [
        {"command_type": "sync_recording", "slot": None, "meeting_id": None},
        {"command_type": "unknown", "slot": None, "meeting_id": None},
        {"slot": "another-meeting/track", "meeting_id": "another-meeting"},
    ],
)
async def test_another_command_with_the_id_of_a_start_in_doubt_is_busy(
    store: Store, other: dict[str, Any]
) -> None:
    await doubtful(store, "c1")
    assert (await store.claim(claim(**other))).verdict == "busy"
    again = await store.claim(claim())
    assert (again.verdict, again.called_at) == ("again", 1000.0)
    await store.finish(finish("c1", Reply()))
    assert (await store.claim(claim(**other))).verdict == "done"


async def test_a_start_in_doubt_frees_its_id_when_it_is_past_its_age(
    store: Store,
) -> None:
    await doubtful(store, "c1")
    late: ClaimResult = await store.claim(
        claim(slot=None, meeting_id=None, abandoned_before=1001.0)
    )
    assert late.verdict == "again"


# One meeting, several spellings


async def test_a_meeting_is_found_however_its_id_is_capitalised(store: Store) -> None:
    await store.apply([observation(start=StartContext(start_id="theirs"))])
    await doubtful(store, "c1")
    in_capitals = MEETING.upper()
    again = await store.claim(claim(meeting_id=in_capitals))
    assert [recording.recording_id for recording in again.known_recordings] == ["r1"]
    stop = await store.claim(claim("stop", slot=None, rival_slots=(SLOT,), meeting_id=in_capitals))
    assert [recording.recording_id for recording in stop.known_recordings] == ["r1"]
    assert stop.pending_starts == 1
    assert len(await store.recordings(RecordingsFilter(meeting_id=in_capitals))) == 1


@pytest.mark.parametrize("existing", [False, True])
async def test_only_the_owner_may_read_the_files_of_sqlite(tmp_path: Path, existing: bool) -> None:
    file = tmp_path / "state.db"
    if existing:  # of a former version
        await (await Store.open(f"sqlite:///{file}", source="test")).close()
        for path in tmp_path.iterdir():
            path.chmod(0o644)
    before = os.umask(0)
    try:
        store = await Store.open(f"sqlite:///{file}", source="test")
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        await store.close()
    finally:
        os.umask(before)
    assert {"state.db", "state.db-wal", "state.db-shm", "state.db.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes
