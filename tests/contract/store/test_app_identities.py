"""Which RealtimeKit app a name belongs to, while its recordings are open, on both engines."""

from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from worker.store.app_identities import AppIdentity
from worker.store.store import Store


async def test_a_name_belongs_to_the_same_app_while_its_recordings_are_open(store: Store) -> None:
    assert await store.adopt_app(app_of(store, "first")) == 0
    await store.apply(
        [
            observation("a"),
            observation("b", Status.UPLOADED),
            observation("c", Status.ERRORED, files=()),
        ]
    )

    assert await store.adopt_app(app_of(store, "other")) == 2
    assert await store.adopt_app(app_of(store, "first", account_id="moved")) == 2
    assert await store.adopt_app(app_of(store, "first")) == 0


async def test_a_name_without_open_recordings_may_get_another_app(store: Store) -> None:
    await store.adopt_app(app_of(store, "first"))
    await store.apply([observation("a", Status.ERRORED, files=())])

    assert await store.adopt_app(app_of(store, "other")) == 0
    await store.apply([observation("b")])
    assert await store.adopt_app(app_of(store, "first")) == 1


async def test_the_recordings_of_an_app_do_not_concern_another_name(store: Store) -> None:
    await store.adopt_app(app_of(store, "first", name="eu"))
    await store.apply([observation("a")])

    assert await store.adopt_app(app_of(store, "other", name="eu")) == 0


async def test_a_database_without_a_note_takes_the_app_as_it_is(store: Store) -> None:
    await store.apply([observation("a")])

    assert await store.adopt_app(app_of(store, "first")) == 0
    assert await store.adopt_app(app_of(store, "other")) == 1


def app_of(
    store: Store, app_id: str, *, name: str = "default", account_id: str = "account"
) -> AppIdentity:
    return AppIdentity(name=name, account_id=account_id, app_id=app_id, now=store.now())
