"""Short ids are completed by the database, on both engines."""

import uuid

import pytest

from recording_schemas import Status
from tests.contract.store.test_pruning import claim, finish, observation
from tests.state_queries import read_state
from worker.domain.short_ids import shorten
from worker.store.admin.short_ids import MAX_FOUND, IdKind, find_ids_that_begin, find_whole_ids
from worker.store.store import Store

FIRST_ID = "1a2b3c4d-0000-4000-8000-000000000001"
SECOND_ID = "1a2b3c4d-9999-4000-8000-000000000002"
ALL: tuple[IdKind, ...] = ("recording", "command", "meeting")


async def fill(store: Store) -> None:
    """A live recording and an ended one, a start, and others with like ids."""
    await store.apply(
        [
            observation(FIRST_ID),
            observation(SECOND_ID),
            observation("1a2b-no-uuid"),
            observation("0fff"),
            observation("ffff"),
        ]
    )
    await store.apply([observation(SECOND_ID, Status.ERRORED, files=())])
    await store.claim(claim("order-2026-000000000017", meeting_id="M-1"))
    await store.finish(finish("order-2026-000000000017"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FIRST_ID, [FIRST_ID]),
        ("1a2b3c4d-0", [FIRST_ID]),
        ("1a2b3c4d-9", [SECOND_ID]),
        ("1a2b", [FIRST_ID, SECOND_ID]),
        ("1a2b…", ["1a2b-no-uuid", FIRST_ID, SECOND_ID]),
        ("ffff", ["ffff"]),
        ("0ff", []),
        ("order-2026…", ["order-2026-000000000017"]),
        ("order-2026", []),
        ("dead", []),
    ],
)
async def test_a_short_id_is_completed_to_every_id_that_it_may_mean(
    store: Store, database_url: str, text: str, found: list[str]
) -> None:
    await fill(store)

    assert read_state(database_url, find_whole_ids, text, ALL) == found


async def test_only_ids_of_the_kind_count(store: Store, database_url: str) -> None:
    await fill(store)

    assert read_state(database_url, find_whole_ids, "1a2b3c4d-0", ["command"]) == []
    assert read_state(database_url, find_whole_ids, "order-2026…", ["recording"]) == []


async def test_many_candidates_are_cut_off(store: Store, database_url: str) -> None:
    ids = [f"abcd0000-0000-4000-8000-{number:012}" for number in range(3 * MAX_FOUND)]
    await store.apply([observation(recording_id) for recording_id in ids])

    assert read_state(database_url, find_whole_ids, "abcd", ALL) == ids[: MAX_FOUND + 1]


async def test_every_short_id_that_a_table_shows_finds_its_recording(
    store: Store, database_url: str
) -> None:
    ids = [str(uuid.uuid4()) for _ in range(200)]
    await store.apply([observation(recording_id) for recording_id in ids])
    await store.apply(
        [observation(recording_id, Status.ERRORED, files=()) for recording_id in ids[::2]]
    )

    for recording_id, short in list(shorten(ids).items())[::10]:
        assert read_state(database_url, find_whole_ids, short, ["recording"]) == [recording_id]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("order", ["order-2026-000000000017"]),
        ("order…", ["order-2026-000000000017"]),
        ("1a2b", ["1a2b-no-uuid", FIRST_ID, SECOND_ID]),
        ("1a2b3c4d-9", [SECOND_ID]),
        ("0f", ["0fff"]),
        ("order_2026", []),
        (FIRST_ID, []),
        ("…", []),
        ("", []),
    ],
)
async def test_the_ids_that_begin_with_an_unknown_id_are_found(
    store: Store, database_url: str, text: str, found: list[str]
) -> None:
    await fill(store)

    assert read_state(database_url, find_ids_that_begin, text, ALL) == found


async def test_many_ids_that_begin_with_an_unknown_id_are_cut_off(
    store: Store, database_url: str
) -> None:
    ids = [f"order-{number:03}" for number in range(3 * MAX_FOUND)]
    await store.apply([observation(recording_id) for recording_id in ids])

    assert (
        read_state(database_url, find_ids_that_begin, "order", ["recording"])
        == ids[: MAX_FOUND + 1]
    )
