"""The manifest of a recording: people, stays, files and statuses, from the store."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import (
    ErrorInfo,
    FileReady,
    Manifest,
    ManifestParticipant,
    ManifestPerson,
    ParticipantInfo,
    ParticipantWithoutFile,
    Status,
    StorageInfo,
)
from recording_schemas.json_schema import documents
from worker.archive.manifest import compose_manifest
from worker.domain.archive import ArchiveFile, CopiedFile, RecordingArchive, StatusTime
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import Participant

NOW: Final = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
VALIDATOR: Final = Draft202012Validator(documents()["manifest_v1"])


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def recording(*user_ids: str, **fields: Any) -> Recording:
    start = StartContext(start_id="s-1", user_ids=user_ids, metadata={"case": "7"})
    base: dict[str, Any] = {
        "recording_id": "r-1",
        "app": "eu",
        "kind": "track",
        "status": Status.UPLOADED,
        "start": start,
        "meeting_id": "m-1",
        "session_id": "x-1",
        "started_time": NOW,
        "stopped_time": at(100),
    }
    return Recording(**{**base, **fields})


def stay(
    peer_id: str, user_id: str | None = None, *, joined: float = 0, **more: Any
) -> Participant:
    return Participant(peer_id=peer_id, user_id=user_id, joined_at=at(joined), **more)


def file_ready(name: str, **fields: Any) -> FileReady:
    empty = dict.fromkeys(FileReady.__struct_fields__)
    base = {"recording_id": "r-1", "kind": "track", "media_kind": "audio", "file_count": 1}
    return FileReady(**{**empty, **base, "file_name": name, "file_index": 1, **fields})


COPIED: Final = CopiedFile(
    archive_url="s3://bucket/a.webm",
    size_bytes=7,
    sha256="0" * 64,
    content_type="audio/webm",
    duration_seconds=1.5,
)


def row(name: str, index: int = 1, state: Any = "archived", **fields: Any) -> ArchiveFile:
    """A row of the archive. Fields of the file that are not given are null."""
    own: dict[str, Any] = {
        key: fields.pop(key) for key in ("last_error", "archived", "archived_at") if key in fields
    }
    copy: dict[str, Any] = (
        {"archived": COPIED, "archived_at": NOW.timestamp()} if state == "archived" else {}
    )
    return ArchiveFile(
        recording_id="r-1",
        file_index=index,
        app="eu",
        state=state,
        file=file_ready(name, file_index=index, **fields),
        queued_at=0.0,
        **{**copy, **own},
    )


def composed(
    known: Recording | None = None,
    files: Sequence[ArchiveFile] = (),
    stays: Sequence[Participant] | None = (),
    **fields: Any,
) -> Manifest:
    """The manifest, which was also checked by its schema."""
    archive = RecordingArchive(
        recording=known or recording(),
        files=tuple(files),
        participants=None if stays is None else tuple(stays),
        **fields,
    )
    manifest = compose_manifest(archive)
    body = msgspec.json.encode(manifest)
    VALIDATOR.validate(json.loads(body))
    assert msgspec.json.decode(body, type=Manifest) == manifest
    return manifest


def people(manifest: Manifest) -> dict[str | None, ManifestParticipant]:
    """The participants by user id, else by custom id, else by their first stay."""
    return {
        person.user_id or person.custom_participant_id or person.stays[0].peer_id: person
        for person in manifest.participants or ()
    }


def test_a_manifest_says_which_recording_it_is_and_who_started_it() -> None:
    known = recording(
        invoked_time=at(-5),
        recording_duration=100,
        start_reason="API_CALL",
        stop_reason="ALL_PEERS_LEFT",
    )

    manifest = composed(known)

    assert manifest.version == 1
    assert msgspec.structs.asdict(manifest.recording) == {
        "recording_id": "r-1",
        "meeting_id": "m-1",
        "session_id": "x-1",
        "kind": "track",
        "app": "eu",
        "status": Status.UPLOADED,
        "invoked_time": at(-5),
        "started_time": NOW,
        "stopped_time": at(100),
        "recording_duration": 100,
        "start_reason": "API_CALL",
        "stop_reason": "ALL_PEERS_LEFT",
        "error": None,
    }
    assert manifest.start is not None
    assert (manifest.start.start_id, manifest.start.metadata) == ("s-1", {"case": "7"})


def test_a_recording_that_another_program_started_has_no_start_and_may_know_nothing() -> None:
    known = Recording(recording_id="r", app="default", kind="composite", status=Status.ERRORED)

    manifest = composed(known, stays=None)

    assert manifest.start is None
    assert manifest.participants is None
    assert (manifest.files, manifest.timeline) == ((), ())


def test_a_manifest_names_each_person_whom_the_start_asked_for_once() -> None:
    start = StartContext(start_id="s", user_ids=("a", "b", "a", "c"), custom_ids={"a": "alice"})
    stays = [stay("p", "b", custom_participant_id="bob"), stay("q", "a")]

    manifest = composed(recording(start=start), stays=stays)

    assert manifest.start is not None
    assert manifest.start.asked_for == (
        ManifestPerson(user_id="a", custom_participant_id="alice"),
        ManifestPerson(user_id="b", custom_participant_id="bob"),
        ManifestPerson(user_id="c", custom_participant_id=None),
    )
    assert people(manifest)["a"].custom_participant_id == "alice"


def test_a_start_that_asked_for_everybody_names_nobody() -> None:
    manifest = composed(stays=[stay("p", "a")])

    assert manifest.start is not None
    assert manifest.start.asked_for == ()


def test_a_person_has_all_stays_and_each_stay_its_files() -> None:
    stays = [
        stay("p2", "a", joined=50, left_at=at(60), display_name="Al"),
        stay("p1", "a", left_at=at(40), custom_participant_id="alice", preset_name="host"),
    ]
    files = [
        row("1.webm", 1, user_id="a", peer_id="p1"),
        row("2.webm", 2, user_id="a", peer_id="p2"),
        row("3.webm", 3, user_id="a"),
    ]

    (person,) = composed(files=files, stays=stays).participants or ()

    assert (person.user_id, person.custom_participant_id) == ("a", "alice")
    assert (person.display_name, person.preset_name, person.expected) == ("Al", "host", True)
    assert [(stay.peer_id, stay.joined_at, stay.left_at, stay.files) for stay in person.stays] == [
        ("p1", NOW, at(40), ("1.webm",)),
        ("p2", at(50), at(60), ("2.webm",)),
    ]
    assert person.files == ("1.webm", "2.webm", "3.webm")


def test_people_are_in_the_order_of_joining_whatever_the_order_of_the_list() -> None:
    stays = [stay("p3", "c", joined=20), stay("p1", "a"), stay("p2", "b", joined=10)]
    unknown = Participant(peer_id="p0", user_id="d")

    first = composed(recording("z", "a"), stays=[*stays, unknown])
    second = composed(recording("z", "a"), stays=[unknown, *reversed(stays)])

    assert list(people(first)) == ["a", "b", "c", "d", "z"]
    assert first == second


def test_a_person_whom_the_start_asked_for_is_expected_without_having_joined() -> None:
    found = people(composed(recording("a", "b"), stays=[stay("p1", "a"), stay("p2", "c")]))

    assert {name: person.expected for name, person in found.items()} == {
        "a": True,
        "b": True,
        "c": False,
    }
    assert (found["b"].stays, found["b"].files) == ((), ())


def test_without_a_list_everybody_who_was_there_while_it_was_recorded_is_expected() -> None:
    stays = [
        stay("p1", "before", joined=-50, left_at=at(-10)),
        stay("p2", "during", joined=-50),
        stay("p3", "after", joined=200),
        stay("p4", "twice", joined=-50, left_at=at(-10)),
        stay("p5", "twice", joined=10),
        Participant(peer_id="p6", user_id="timeless"),
    ]

    found = people(composed(stays=stays))

    assert {name for name, person in found.items() if person.expected} == {
        "during",
        "twice",
        "timeless",
    }


def test_nobody_is_expected_to_have_a_file_of_a_composite() -> None:
    known = recording(kind="composite")
    files = [row("a.mp4", kind="composite", media_kind="video")]

    manifest = composed(known, files, [stay("p1", "a")], without_file=())

    assert [person.expected for person in manifest.participants or ()] == [False]
    assert [person.files for person in manifest.participants or ()] == [()]
    assert manifest.participants_without_file is None


def test_stays_of_people_without_ids_are_separate_people() -> None:
    found = people(composed(stays=[stay("p1"), stay("p2"), stay("p3", custom_participant_id="x")]))

    assert set(found) == {"p1", "p2", "x"}


def test_a_file_belongs_to_the_only_person_with_its_custom_id() -> None:
    stays = [stay("p1", "a", custom_participant_id="alice"), stay("p2", "b")]
    files = [row("1.webm", custom_participant_id="alice")]

    assert people(composed(files=files, stays=stays))["a"].files == ("1.webm",)


def test_a_file_whose_custom_id_several_people_have_belongs_to_nobody() -> None:
    stays = [stay(f"p{n}", f"u{n}", custom_participant_id="team") for n in range(2)]

    manifest = composed(files=[row("1.webm", custom_participant_id="team")], stays=stays)

    assert [person.files for person in manifest.participants or ()] == [(), ()]
    assert [file.file_name for file in manifest.files] == ["1.webm"]


def test_the_owner_of_a_file_is_a_participant_also_if_the_list_lacks_the_person() -> None:
    info = ParticipantInfo(
        user_id="d", peer_id="p4", custom_participant_id="dan", display_name="Dan",
        preset_name=None, joined_at=at(3), left_at=None,
    )  # fmt: skip
    files = [
        row("1.webm", 1, user_id="a", peer_id="p1"),
        row("2.webm", 2, user_id="b"),
        row("3.webm", 3, custom_participant_id="cat"),
        row("4.webm", 4, participant=info),
        row("5.webm", 5, custom_participant_id="cat"),
        row("6.webm", 6),
    ]

    found = people(composed(files=files))

    assert {name: person.files for name, person in found.items()} == {
        "a": ("1.webm",),
        "b": ("2.webm",),
        "cat": ("3.webm", "5.webm"),
        "d": ("4.webm",),
    }
    assert [stay.peer_id for stay in found["a"].stays] == ["p1"]
    assert found["d"].stays[0].joined_at == at(3)
    assert all(person.expected for person in found.values())


def test_participants_are_null_if_unknown_and_files_still_name_their_owners() -> None:
    manifest = composed(recording("a"), [row("1.webm", user_id="a")], stays=None)

    assert manifest.participants is None
    assert [file.user_id for file in manifest.files] == ["a"]


def test_files_are_in_the_order_of_their_numbers_with_their_copies() -> None:
    queued = row("2.webm", 2, state="queued", last_error=ErrorInfo(code="timeout", message="slow"))

    manifest = composed(files=[queued, row("1.webm", 1)])

    first, second = manifest.files
    assert (first.file_index, first.state, first.archive_url) == (1, "archived", COPIED.archive_url)
    assert (first.size_bytes, first.sha256, first.content_type) == (7, "0" * 64, "audio/webm")
    assert (first.duration_seconds, first.archived_at, first.error) == (1.5, NOW, None)
    assert (second.state, second.archive_url, second.archived_at) == ("queued", None, None)
    assert second.error == ErrorInfo(code="timeout", message="slow")


def test_an_archived_file_has_no_error_from_an_attempt_before() -> None:
    files = [row("1.webm", last_error=ErrorInfo(code="timeout", message="slow"))]

    assert composed(files=files).files[0].error is None


def test_a_file_that_is_archived_again_keeps_its_copy_meanwhile() -> None:
    files = [row("1.webm", state="queued", archived=COPIED, archived_at=NOW.timestamp())]

    (file,) = composed(files=files).files

    assert (file.state, file.archive_url, file.archived_at) == ("queued", COPIED.archive_url, NOW)


def test_a_file_in_the_customer_s_own_storage_has_its_place_and_no_copy() -> None:
    storage = StorageInfo(type="aws", bucket="b", path=None)

    (file,) = composed(files=[row("a.mp4", state="external", storage=storage)]).files

    assert (file.state, file.storage, file.archive_url) == ("external", storage, None)


def test_a_failed_file_says_why() -> None:
    error = ErrorInfo(code="url_expired", message="too late")

    (file,) = composed(files=[row("1.webm", state="failed", last_error=error)]).files

    assert (file.state, file.error, file.size_bytes) == ("failed", error, None)


def test_a_manifest_has_the_people_without_a_file_of_a_track() -> None:
    bob = ParticipantWithoutFile(user_id="b", custom_participant_id=None, joined=True)

    assert composed(without_file=(bob,)).participants_without_file == (bob,)
    assert composed(without_file=None).participants_without_file is None


def test_the_timeline_has_every_status_with_its_times() -> None:
    error = ErrorInfo(code="stalled", message="no change")
    timeline = (
        StatusTime(status=Status.INVOKED, observed_at=NOW, observed_by="command"),
        StatusTime(
            status=Status.ERRORED,
            observed_at=at(9),
            observed_by="sweep",
            invoked_time=NOW,
            started_time=at(1),
            stopped_time=at(8),
            stop_reason="INTERNAL_ERROR",
            error=error,
        ),
    )

    shown = composed(timeline=timeline).timeline

    assert [msgspec.structs.asdict(change) for change in shown] == [
        msgspec.structs.asdict(change) for change in timeline
    ]


@pytest.mark.parametrize("kind", ["track", "composite"])
def test_a_recording_of_which_nothing_is_known_has_a_valid_manifest(kind: Any) -> None:
    known = Recording(recording_id="", app="", kind=kind, status=Status.UPLOADED)
    stays = [Participant(peer_id="")]
    files = [row("", 1), row("", 2, state="failed"), row("", 3, peer_id="", user_id="")]

    manifest = composed(known, files, stays)

    assert len(manifest.files) == 3


def test_the_same_state_makes_the_same_bytes() -> None:
    stays = [stay("p2", "b"), stay("p1", "a")]
    files = [row("2.webm", 2, user_id="b"), row("1.webm", 1, peer_id="p1")]

    bodies = {
        msgspec.json.encode(composed(files=ordered, stays=people_read))
        for ordered in (files, files[::-1])
        for people_read in (stays, stays[::-1])
    }

    assert len(bodies) == 1
