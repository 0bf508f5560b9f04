"""When a list of files is whole, and when it has settled: one test per row of `file_search`."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from recording_schemas import Kind, Media, Status
from tests.store_requests import observation_of
from worker.domain.file_search import completeness, has_settled, hash_of, search_after
from worker.domain.recording import Completeness, FileSearch, Recording, StartContext
from worker.domain.snapshot import Participant, RecordingSnapshot, Storage
from worker.domain.track_files import TrackFile

T0 = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
S3 = Storage(type="aws", bucket="calls")


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def file(peer: str | None, user: str | None = None, *, url: str | None = "u") -> TrackFile:
    return TrackFile(
        file_name=f"{peer}.webm", media_kind="audio", user_id=user, peer_id=peer, download_url=url
    )


def stay(peer: str, user: str = "ada", **fields: Any) -> Participant:
    return Participant(peer_id=peer, user_id=user, **fields)


def recording(kind: Kind = "track", **start: Any) -> Recording:
    return Recording(
        recording_id="r1",
        app="default",
        kind=kind,
        status=Status.UPLOADED,
        start=StartContext(start_id="s1", **start) if start else None,
    )


def found(
    files: Sequence[TrackFile],
    known: Recording,
    participants: Sequence[Participant] = (),
    storage: Storage | None = None,
) -> Completeness:
    snapshot = RecordingSnapshot(
        recording_id="r1",
        status=Status.UPLOADED,
        started_time=at(10),
        stopped_time=at(20),
        storage=storage,
    )
    return completeness(files, snapshot, known, participants)


def test_a_list_with_a_file_that_has_no_url_yet_lacks_it() -> None:
    assert found([file("p1"), file("p2", url=None)], recording(), [stay("p1")]) == "lacking"


def test_a_list_with_a_file_for_each_stay_is_whole() -> None:
    assert found([file("p1"), file("p2")], recording(), [stay("p1"), stay("p2")]) == "whole"


def test_each_stay_of_one_person_needs_a_separate_file() -> None:
    assert found([file("p1")], recording(), [stay("p1"), stay("p2")]) == "lacking"


def test_only_the_users_of_the_start_are_expected() -> None:
    stays = [stay("p1", "ada"), stay("p2", "bob")]

    assert found([file("p1")], recording(user_ids=("ada",)), stays) == "whole"
    assert found([file("p2")], recording(user_ids=("ada",)), stays) == "lacking"


def test_a_requested_user_who_never_joined_is_not_expected() -> None:
    assert found([file("p1")], recording(user_ids=("ada", "bob")), [stay("p1")]) == "whole"


@pytest.mark.parametrize(
    ("joined", "left", "expected"),
    [
        (0, 10, "whole"),
        (0, 10.5, "lacking"),
        (19.5, 30, "lacking"),
        (20, None, "whole"),
        (None, None, "lacking"),
    ],
)
def test_only_stays_during_the_recording_are_expected(
    joined: float | None, left: float | None, expected: Completeness
) -> None:
    other = stay(
        "p2",
        joined_at=None if joined is None else at(joined),
        left_at=None if left is None else at(left),
    )

    assert found([file("p1")], recording(), [stay("p1"), other]) == expected


def test_without_participants_it_is_not_known_whether_each_stay_has_a_file() -> None:
    assert found([file("p1", "ada")], recording()) == "unknown"
    assert found([file("p1", "ada")], recording(user_ids=("ada",))) == "unknown"


def test_without_participants_a_requested_user_without_a_file_is_missed() -> None:
    assert found([file("p1", "ada")], recording(user_ids=("ada", "bob"))) == "lacking"


def composite(*media: Media, url: str | None = "u") -> list[TrackFile]:
    return [TrackFile(file_name=name, media_kind=name, download_url=url) for name in media]


BOTH: tuple[Media, ...] = ("video", "audio")


@pytest.mark.parametrize(
    ("requested", "listed", "expected"),
    [
        (BOTH, BOTH, "whole"),
        (BOTH, ("video",), "lacking"),
        (BOTH, ("audio",), "lacking"),
        (("video",), ("video",), "whole"),
        (("audio",), ("audio",), "whole"),
        ((), BOTH, "whole"),
        ((), ("video",), "unknown"),
    ],
)
def test_a_composite_is_whole_with_each_requested_file(
    requested: tuple[Media, ...], listed: tuple[Media, ...], expected: Completeness
) -> None:
    known = recording("composite", media=requested) if requested else recording("composite")

    assert found(composite(*listed), known) == expected


def test_a_file_of_a_composite_without_a_url_or_a_storage_is_lacking() -> None:
    known = recording("composite", media=("video",))
    assert found(composite("video", url=None), known) == "lacking"


def test_a_file_in_the_customer_s_storage_needs_no_url() -> None:
    known = recording("composite", media=BOTH)

    assert found(composite("video", url=None), known, storage=S3) == "unknown"


def settled(
    known: Sequence[TrackFile], files: Sequence[TrackFile], asked_at: float, settle: float = 10
) -> bool:
    search = FileSearch(list_hash=hash_of(known), listed_since=T0, completeness="lacking")
    snapshot = RecordingSnapshot(recording_id="r1", status=Status.UPLOADED)
    observation = observation_of(snapshot, at(asked_at), files=tuple(files))
    before = Recording(
        recording_id="r1",
        app="default",
        kind="track",
        status=Status.UPLOADED,
        file_search=search,
    )
    return has_settled(before, observation, settle)


def test_a_list_settles_when_a_later_read_shows_the_same_files() -> None:
    files = [file("p1"), file("p2")]

    assert settled(files, [file("p2"), file("p1", url="signed anew")], asked_at=10)
    assert not settled(files, files, asked_at=9.9)


@pytest.mark.parametrize("files", [[], [file("p1")], [file("p1"), file("p3")]], ids=len)
def test_a_list_of_other_files_has_not_settled(files: list[TrackFile]) -> None:
    assert not settled([file("p1"), file("p2")], files, asked_at=60)


def test_a_list_with_a_file_that_has_no_url_never_settles() -> None:
    files = [file("p1"), file("p2", url=None)]

    assert not settled(files, files, asked_at=60)


EMPTY = FileSearch(list_hash=hash_of([]), listed_since=T0, completeness="lacking")


@pytest.mark.parametrize("search", [None, EMPTY])
def test_an_empty_list_neither_changes_the_search_nor_settles(search: FileSearch | None) -> None:
    before = msgspec.structs.replace(recording(), file_search=search)
    snapshot = RecordingSnapshot(recording_id="r1", status=Status.UPLOADED)
    observation = observation_of(snapshot, at(60), files=(), completeness="whole")

    assert search_after(before, observation) == search
    assert not has_settled(before, observation, settle=10)


def test_a_list_that_changes_after_the_completion_keeps_the_time_of_the_completion() -> None:
    search = FileSearch(
        list_hash=hash_of([file("p1")]), listed_since=T0, completeness="lacking", ended_at=at(5)
    )
    completed = msgspec.structs.replace(recording(), file_search=search)
    snapshot = RecordingSnapshot(recording_id="r1", status=Status.UPLOADED)
    files = (file("p1"), file("p2"))
    observation = observation_of(snapshot, at(9), files=files, completeness="lacking")
    changed = search_after(completed, observation)
    assert changed is not None
    assert (changed.listed_since, changed.ended_at) == (at(9), at(5))


def test_names_are_compared_without_nul_characters() -> None:
    assert hash_of([file("p\x001")]) == hash_of([file("p1")])


def test_a_list_on_which_a_file_got_its_url_is_another_list() -> None:
    assert hash_of([file("p1")]) != hash_of([file("p1", url=None)])


@pytest.mark.parametrize(
    ("kind", "expected"), [("track", "unknown"), ("composite", "whole"), (None, "whole")]
)
def test_an_unknown_recording_has_the_kind_that_the_answer_shows(
    kind: Kind | None, expected: Completeness
) -> None:
    snapshot = RecordingSnapshot(recording_id="r1", status=Status.UPLOADED, kind=kind)
    video = msgspec.structs.replace(file("p2"), media_kind="video")
    assert completeness([file("p1"), video], snapshot, None, ()) == expected
