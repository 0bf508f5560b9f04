"""One command id, two bodies: the body that was claimed first has the id. On both engines."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from recording_sandbox.services.postgresql import PostgreSQLServer
from tests.store_requests import claim_request, success_of
from worker.store.claims import ClaimRequest
from worker.store.database.engine import open_engine
from worker.store.finishing import FinishRequest
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW = 1000.0
HOUR = 3600.0


def claim(digest: str | None, command_id: str = "c1", **more: Any) -> ClaimRequest:
    values: dict[str, Any] = {"now": NOW, "app": "default", "slot": "m1/track", **more}
    values.setdefault("abandoned_before", values["now"] - HOUR)
    return claim_request(command_id, digest=digest, **values)


def release(owner: str = "me") -> ReleaseRequest:
    return ReleaseRequest(command_id="c1", uncertain=False, last_error="null", owner=owner)


def finish() -> FinishRequest:
    return success_of("c1", at=datetime.fromtimestamp(NOW, UTC), recording_ids=())


async def verdict(store: Store, digest: str | None, **more: Any) -> tuple[str, bool]:
    claimed = await store.claim(claim(digest, **more))
    return claimed.verdict, claimed.id_conflict


def digest_in(database_url: str) -> object:
    engine = open_engine(database_url)
    with engine.connect() as connection:
        query = sa.text("SELECT digest FROM inbox WHERE command_id = 'c1'")
        digest = connection.execute(query).scalar()
    engine.dispose()
    return digest


async def test_another_body_waits_and_changes_nothing_until_the_outcome(store: Store) -> None:
    assert await verdict(store, "first") == ("new", False)
    assert await verdict(store, "second") == ("id_in_use", True)
    assert await verdict(store, "second", owner="other", now=NOW + 61) == ("id_in_use", True)
    await store.release(release())
    assert await verdict(store, "second", finish_only=True) == ("id_in_use", True)
    again = await store.claim(claim("first"))
    assert (again.verdict, again.attempts) == ("again", 2)
    await store.finish(finish())
    assert await verdict(store, "first") == ("done", False)
    assert await verdict(store, "second") == ("done", True)


async def test_of_two_bodies_in_one_commit_the_first_has_the_id(store: Store) -> None:
    bodies = [claim(digest) for digest in ("first", "second", "first")]
    verdicts = [claimed.verdict for claimed in await asyncio.gather(*map(store.claim, bodies))]
    assert verdicts == ["new", "id_in_use", "again"]


async def test_a_row_of_an_older_version_goes_to_the_body_that_claims_it_next(
    store: Store, database_url: str
) -> None:
    await store.claim(claim(None))
    await store.release(release())
    assert await verdict(store, "second") == ("again", False)
    assert digest_in(database_url) == "second"
    assert await verdict(store, "first") == ("id_in_use", True)
    assert await verdict(store, None) == ("again", False)
    assert digest_in(database_url) == "second"


async def test_a_body_claims_the_row_that_a_stop_wrote_for_a_start_that_never_arrived(
    store: Store,
) -> None:
    stop = {"command_type": "stop_recording", "slot": None, "cancels_starts": True}
    await store.claim(claim("stop", "stop", start_id="c1", **stop))
    start = await store.claim(claim("first"))
    assert (start.cancelled_by, start.id_conflict) == ("stop", False)
    assert await verdict(store, "second") == ("id_in_use", True)


async def test_a_stop_with_the_id_of_a_start_cancels_no_start(store: Store) -> None:
    await store.claim(claim("first"))
    await store.release(release())
    await store.claim(claim("other", "c2", slot="m2/track"))
    await store.release(release())
    stop = {"command_type": "stop_recording", "slot": None, "cancels_starts": True}
    for about in ({"start_id": "c1"}, {"start_id": "c2"}, {"rival_slots": ("m1/track",)}):
        assert await verdict(store, "stop", **stop, **about) == ("id_in_use", True)
    for command_id, digest in (("c1", "first"), ("c2", "other")):
        assert (await store.claim(claim(digest, command_id))).cancelled_by is None


async def test_a_start_that_waits_for_its_slot_has_its_id(store: Store) -> None:
    await store.claim(claim("other", "c2"))
    for _ in range(2):
        assert await verdict(store, "first") == ("busy", False)
        assert await verdict(store, "second", slot="m2/track") == ("id_in_use", True)
    await store.release(msgspec.structs.replace(release(), command_id="c2"))
    claimed = await store.claim(claim("first", now=NOW + 5))
    assert (claimed.verdict, claimed.attempts, claimed.may_call) == ("new", 1, True)
    assert claimed.first_seen_at == NOW + 5


@pytest.mark.parametrize("app", ["default", "another"])
async def test_a_stop_of_its_app_cancels_a_start_whose_id_is_reserved(
    store: Store, app: str
) -> None:
    assert await verdict(store, "first", reserve_only=True) == ("busy", False)
    stop = {"command_type": "stop_recording", "slot": None, "cancels_starts": True}
    await store.claim(claim("stop", "stop", start_id="c1", app=app, **stop))
    assert await verdict(store, "second") == ("id_in_use", True)
    start = await store.claim(claim("first"))
    assert start.cancelled_by == ("stop" if app == "default" else None)
    assert start.may_call == (app == "another")


async def test_an_id_is_reserved_also_after_the_stop_of_another_app(store: Store) -> None:
    stop = {"command_type": "stop_recording", "slot": None, "cancels_starts": True}
    await store.claim(claim("stop", "stop", start_id="c1", app="another", **stop))
    assert await verdict(store, "first", reserve_only=True) == ("busy", False)
    assert await verdict(store, "second") == ("id_in_use", True)
    assert (await store.claim(claim("third", app="another"))).verdict == "id_in_use"
    assert await verdict(store, "first") == ("new", False)


async def test_a_reservation_takes_no_command_from_the_replica_that_has_it(store: Store) -> None:
    await store.claim(claim("first"))
    assert await verdict(store, "first", reserve_only=True, owner="other") == ("busy", False)
    await store.release(release())
    assert await verdict(store, "first", reserve_only=True) == ("busy", False)
    assert (await store.claim(claim("first"))).attempts == 2
    await store.finish(finish())
    assert await verdict(store, "first", reserve_only=True) == ("done", False)


async def test_past_its_age_and_its_lease_the_first_body_is_lost(store: Store) -> None:
    await store.claim(claim("first", lease_seconds=2 * HOUR))
    late = NOW + HOUR + 1
    assert await verdict(store, "second", now=late) == ("id_in_use", True)
    await store.release(release())
    assert await verdict(store, "second", now=late - 2) == ("id_in_use", True)
    claimed = await store.claim(claim("second", now=late))
    assert (claimed.verdict, claimed.id_conflict) == ("lost", True)
    assert claimed.lost is not None
    assert (claimed.lost.command_type, claimed.lost.attempts) == ("start_track_recording", 1)


async def test_of_two_replicas_that_claim_at_once_one_has_the_id(
    postgresql: PostgreSQLServer,
) -> None:
    url = postgresql.new_database()
    stores = [await Store.open(url, source="test") for _ in range(2)]
    for number in range(20):
        claims = [
            store.claim(claim(f"of {owner}", f"race-{number}", owner=owner, slot=None))
            for store, owner in zip(stores, ("one", "other"), strict=True)
        ]
        verdicts = sorted([claimed.verdict for claimed in await asyncio.gather(*claims)])
        assert verdicts == ["id_in_use", "new"]
    for store in stores:
        await store.close()
    postgresql.drop_database(url)
