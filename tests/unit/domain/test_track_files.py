"""Shapes of `download_url`, and whose track file a name belongs to."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worker.domain.found_files import found_files
from worker.domain.snapshot import FoundFile, Participant
from worker.domain.track_files import TrackFile, owned_files

ANNA = "aaa708b8-1488-4344-9a08-186457e6908f"
BERT = "bbb1c0de-0000-4000-8000-000000000002"
PEER_1 = "11111111-1111-4111-8111-111111111111"
PEER_2 = "22222222-2222-4222-8222-222222222222"
URL = "https://files.example/a?X-Signature=s"
EPOCH_MS = 1783406002832


def track_name(prefix: str, user: str, peer: str, tail: str = f"peer_audio_{EPOCH_MS}.webm") -> str:
    return f"{prefix}_{user}_{peer}_{tail}"


def found(name: str, **fields: Any) -> FoundFile:
    return FoundFile(name=name, media="audio", layer="default", download_url=URL, **fields)


def person(peer: str, user: str | None = None, custom: str | None = None) -> Participant:
    return Participant(peer_id=peer, user_id=user, custom_participant_id=custom)


def owned(
    file: FoundFile | str,
    *,
    prefixes: Sequence[str] = (),
    user_ids: Sequence[str] = (),
    participants: Sequence[Participant] = (),
) -> TrackFile:
    file = found(file) if isinstance(file, str) else file
    (only,) = owned_files([file], prefixes=prefixes, user_ids=user_ids, participants=participants)
    return only


LAYER = {"layer_name": "default", "download_urls": {"a.webm": {"download_url": URL}}}


@pytest.mark.parametrize(
    "shape", [[LAYER], {"links": [LAYER]}], ids=["a list of layers", "an object with links"]
)
def test_files_are_found_in_both_shapes_with_layers(shape: object) -> None:
    assert found_files(shape, None) == (found("a.webm"),)


def test_a_single_url_is_one_file_with_the_recording_s_name() -> None:
    assert found_files("https://x.example/y.mp4?sig=1", "weekly.mp4") == (
        FoundFile(name="weekly.mp4", media="video", download_url="https://x.example/y.mp4?sig=1"),
    )


@pytest.mark.parametrize("output_file_name", [None, "{{file_name_prefix}}_{{user_id}}.webm"])
def test_a_single_url_without_a_name_takes_the_end_of_its_path(
    output_file_name: str | None,
) -> None:
    (file,) = found_files("https://x.example/d/a%20b.mp3?sig=1", output_file_name)
    assert (file.name, file.media) == ("a b.mp3", "audio")


@pytest.mark.parametrize(
    "shape",
    [None, [], {}, {"links": []}, {"links": None}, "", 7, [None, 3, "x"], [{"download_urls": []}]],
    ids=repr,
)
def test_empty_and_unknown_shapes_have_no_files(shape: object) -> None:
    assert found_files(shape, "weekly.mp4") == ()


def test_owners_that_the_answer_names_are_kept() -> None:
    entry = {"download_url": URL, "peer_id": PEER_1, "custom_participant_id": "u-7"}
    (file,) = found_files({"links": [{"download_urls": {"a.webm": entry}}]}, None)
    assert (file.peer_id, file.custom_participant_id, file.layer) == (PEER_1, "u-7", None)


def test_a_bare_url_is_a_file() -> None:
    (file,) = found_files([{"layer_name": "default", "download_urls": {"a.webm": URL}}], None)
    assert file.download_url == URL


@pytest.mark.parametrize("entry", [None, {}, {"download_url": None}, {"download_url": 3}, []])
def test_a_file_is_listed_before_it_has_its_url(entry: object) -> None:
    assert found_files([{"download_urls": {"a.webm": entry, "b.webm": URL}}], None) == (
        FoundFile(name="a.webm", media="audio"),
        FoundFile(name="b.webm", media="audio", download_url=URL),
    )


OTHER_ENTRIES: list[dict[str, object]] = [
    {"download_url": URL},
    {"download_url": f"{URL}-again"},
    {"download_url": None},
    {"peer_id": PEER_1},
]


@pytest.mark.parametrize("entry", OTHER_ENTRIES, ids=repr)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_listed_twice_is_one_file_with_all_that_either_entry_says(
    entry: dict[str, object], is_first: bool
) -> None:
    whole = {"download_url": URL, "custom_participant_id": "u-7"}
    entries = (entry, whole) if is_first else (whole, entry)
    layers = [{"layer_name": "default", "download_urls": {"a.webm": item}} for item in entries]
    (file,) = found_files(layers, None)
    assert file.download_url in {URL, f"{URL}-again"}
    assert (file.custom_participant_id, file.peer_id) == ("u-7", entry.get("peer_id"))


@pytest.mark.parametrize("layers", [("default", None), (None, "default"), ("default", "low")])
def test_a_file_listed_in_two_layers_is_of_the_first_that_has_a_name(
    layers: tuple[str | None, str | None],
) -> None:
    listed = [{"layer_name": layer, "download_urls": {"a.webm": URL}} for layer in layers]
    (file,) = found_files(listed, None)
    assert file.layer == "default"


def test_a_single_url_without_any_name_is_a_recording() -> None:
    (file,) = found_files("https://x.example/?sig=1", None)
    assert file.name == "recording"


def test_a_name_without_a_known_owner_still_says_what_was_recorded() -> None:
    file = owned("p_somebody_else_screenshare_video_1783406002832.webm")
    assert (file.user_id, file.stream_kind, file.media_kind) == (None, "screenshare", "video")
    assert file.recorded_at == datetime(2026, 7, 7, 6, 33, 22, 832_000, tzinfo=UTC)


def test_names_that_differ_only_in_nul_characters_are_one_file() -> None:
    (file,) = found_files([{"download_urls": {"a\x00.webm": URL, "a.webm": URL}}], None)
    assert file.name == "a.webm"


def test_two_uuids_name_the_owner_if_nothing_is_known() -> None:
    file = owned(track_name("job_7", ANNA, PEER_1))
    assert file == TrackFile(
        file_name=track_name("job_7", ANNA, PEER_1),
        media_kind="audio",
        layer="default",
        stream_kind="peer",
        user_id=ANNA,
        peer_id=PEER_1,
        recorded_at=datetime(2026, 7, 7, 6, 33, 22, 832000, tzinfo=UTC),
        download_url=URL,
    )


def test_the_longer_ending_of_live_recordings_is_read() -> None:
    file = owned(track_name("default", ANNA, PEER_1, f"peer_media_kind_audio_{EPOCH_MS}.webm"))
    assert (file.user_id, file.peer_id, file.stream_kind) == (ANNA, PEER_1, "peer")
    assert file.media_kind == "audio"


def test_a_file_with_another_name_has_no_owner() -> None:
    file = owned("weekly sync.webm", participants=[person(PEER_1, ANNA)])
    assert (file.user_id, file.peer_id, file.recorded_at) == (None, None, None)
    assert (file.file_name, file.media_kind) == ("weekly sync.webm", "audio")


def test_the_peer_in_the_answer_outranks_the_file_name() -> None:
    file = owned(found("x.webm", peer_id=PEER_1), participants=[person(PEER_1, ANNA, "u-7")])
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (ANNA, PEER_1, "u-7")


def test_the_custom_id_in_the_answer_outranks_the_participants() -> None:
    file = owned(
        found(track_name("p", ANNA, PEER_1), custom_participant_id="payload"),
        participants=[person(PEER_1, ANNA, "row")],
    )
    assert file.custom_participant_id == "payload"


def test_the_stays_of_a_person_who_rejoined_differ_by_peer() -> None:
    rows = [person(PEER_1, ANNA, "first"), person(PEER_2, ANNA, "second")]
    file = owned(track_name("p", ANNA, PEER_2), participants=rows)
    assert file.custom_participant_id == "second"


def test_an_unlisted_peer_has_the_custom_id_on_which_all_stays_of_its_user_agree() -> None:
    rows = [person("p1", ANNA, "u-7"), person("p2", ANNA, "u-7"), person("p3", BERT, "other")]
    assert owned(track_name("p", ANNA, PEER_1), participants=rows).custom_participant_id == "u-7"


@pytest.mark.parametrize("second", ["u-8", None])
def test_a_custom_id_on_which_stays_disagree_is_not_guessed(second: str | None) -> None:
    rows = [person("p1", ANNA, "u-7"), person("p2", ANNA, second)]
    assert owned(track_name("p", ANNA, PEER_1), participants=rows).custom_participant_id is None


def test_no_custom_id_is_ever_read_from_a_name() -> None:
    file = owned(track_name("p", "user-123", PEER_1), prefixes=["p"], user_ids=["user-123"])
    assert (file.user_id, file.custom_participant_id) == ("user-123", None)


ODD_TAILS = {
    "peer_audio_2026-07-07T06-33-22Z.webm": ("peer", "audio", 0),
    "peer_audio_2026-07-07T06:33:22.832Z.webm": ("peer", "audio", 832),
    "peer_media_kind_audio_20260707T063322Z.webm": ("peer", "audio", 0),
    "screen_share_audio_1783406002832.webm": ("screen_share", "audio", 832),
    "screen-share_video_1783406002832.webm": ("screen-share", "video", 832),
    "peer_audio_1783406002832_2.webm": ("peer", "audio", 832),
    "peer_audio_1783406002_part3.webm": ("peer", "audio", 0),
    "peer_audio_1783406002832": ("peer", "audio", 832),
}


@pytest.mark.parametrize("tail", ODD_TAILS)
@pytest.mark.parametrize("prefix", ["default", "job_7", f"{BERT}_{PEER_2}"])
@pytest.mark.parametrize("known_by", ["participants", "user_ids"])
def test_a_known_participant_owns_a_file_with_any_text_after_the_two_uuids(
    tail: str, prefix: str, known_by: str
) -> None:
    rows = [person(PEER_1, ANNA, "u-7"), person(PEER_2, BERT, "u-8")]
    file = owned(
        track_name(prefix, ANNA, PEER_1, tail),
        participants=rows if known_by == "participants" else (),
        user_ids=[ANNA] if known_by == "user_ids" else (),
    )
    assert (file.user_id, file.peer_id) == (ANNA, PEER_1)
    assert file.custom_participant_id == ("u-7" if known_by == "participants" else None)
    stream, media, millisecond = ODD_TAILS[tail]
    assert (file.stream_kind, file.media_kind) == (stream, media)
    assert file.recorded_at == datetime(2026, 7, 7, 6, 33, 22, millisecond * 1000, tzinfo=UTC)


def test_two_unknown_uuids_in_an_odd_name_have_no_owner() -> None:
    name = track_name("default", ANNA, PEER_1, "peer_audio_2026-07-07T06-33-22Z.webm")
    file = owned(name, participants=[person(PEER_2, BERT, "u-8")])
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (None, None, None)


def test_a_peer_of_another_user_is_not_given_to_the_user_in_an_odd_name() -> None:
    name = track_name("default", ANNA, PEER_2, "screen_share_audio_1783406002832.webm")
    file = owned(name, participants=[person(PEER_1, ANNA), person(PEER_2, BERT)])
    assert (file.user_id, file.peer_id) == (None, None)


@pytest.mark.parametrize("tail", ["peer_audio_9999-99-99T99-99-99Z.webm", "peer_audio_soon.webm"])
def test_a_time_that_cannot_be_read_costs_the_file_neither_its_owner_nor_its_event(
    tail: str,
) -> None:
    file = owned(track_name("default", ANNA, PEER_1, tail), participants=[person(PEER_1, ANNA)])
    assert (file.user_id, file.peer_id, file.recorded_at) == (ANNA, PEER_1, None)


@pytest.mark.parametrize(
    "name", ["sales_call_audio_1783406002832.mp4", track_name("d", ANNA, PEER_1)]
)
def test_a_file_of_a_composite_has_no_owner_and_its_own_media(name: str) -> None:
    (file,) = owned_files(
        [FoundFile(name=name, media="video", download_url=URL)],
        kind="composite",
        prefixes=["d"],
        user_ids=[ANNA],
        participants=[person(PEER_1, ANNA, "u-7")],
    )
    assert file == TrackFile(file_name=name, media_kind="video", download_url=URL)


def test_a_requested_user_with_any_id_is_found_after_a_known_prefix() -> None:
    file = owned(track_name("a_b", "c_d", PEER_1), prefixes=["a_b"], user_ids=["c_d", "d"])
    assert (file.user_id, file.peer_id) == ("c_d", PEER_1)


def test_the_user_is_the_text_between_a_known_prefix_and_the_peer() -> None:
    file = owned(track_name("a_b", "some one", PEER_1), prefixes=["a_b"])
    assert (file.user_id, file.peer_id) == ("some one", PEER_1)


def test_words_between_a_known_prefix_and_a_uuid_leave_the_user_unknown() -> None:
    file = owned(track_name("default_room", ANNA, PEER_1), prefixes=["default"])
    assert (file.user_id, file.peer_id) == (None, PEER_1)


def test_a_known_user_is_found_behind_a_longer_prefix() -> None:
    rows = [person(PEER_2, ANNA, "one")]
    file = owned(track_name("default_room", ANNA, PEER_1), prefixes=["default"], participants=rows)
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (ANNA, PEER_1, "one")


def test_two_fitting_prefixes_leave_an_unlisted_user_unknown() -> None:
    file = owned(track_name("a_b", "c", PEER_1), prefixes=["a", "a_b"])
    assert (file.user_id, file.peer_id) == (None, PEER_1)


def test_a_misread_prefix_yields_no_user_who_was_not_requested() -> None:
    file = owned(track_name("a_b", "c", PEER_1), prefixes=["a"], user_ids=["c"])
    assert (file.user_id, file.peer_id) == (None, PEER_1)


def test_a_known_prefix_decides_between_two_ids_with_the_same_end() -> None:
    rows = [person("b_c", "a", "one"), person("c", "b", "two")]
    file = owned("p_a_b_c_peer_audio_1783406002832.webm", prefixes=["p"], participants=rows)
    assert (file.user_id, file.peer_id, file.custom_participant_id) == ("a", "b_c", "one")


def test_a_participant_with_any_id_is_found_after_an_unknown_prefix() -> None:
    file = owned(track_name("x_y", "a_b", "c d"), participants=[person("c d", "a_b", "one")])
    assert (file.user_id, file.peer_id, file.custom_participant_id) == ("a_b", "c d", "one")


def test_the_peer_is_the_text_behind_a_known_prefix_and_a_requested_user() -> None:
    file = owned(track_name("p", "a_b", "c_d"), prefixes=["p"], user_ids=["a_b", "x"])
    assert (file.user_id, file.peer_id) == ("a_b", "c_d")


def test_a_uuid_is_not_cut_out_of_a_longer_word() -> None:
    file = owned(track_name("p", ANNA, f"peer-{PEER_1}"))
    assert (file.user_id, file.peer_id) == (None, None)


def test_two_owners_who_explain_a_name_equally_leave_it_without_an_owner() -> None:
    rows = [person("y_z", "x", "one"), person("z", "x_y", "two")]
    file = owned(track_name("p", "x_y", "z"), prefixes=["p"], participants=rows)
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (None, None, None)


def test_a_participant_without_a_user_takes_the_user_from_the_name() -> None:
    file = owned(track_name("p", ANNA, PEER_1), participants=[person(PEER_1, None, "u-7")])
    assert (file.user_id, file.custom_participant_id) == (ANNA, "u-7")


def test_layers_of_one_name_have_one_order_however_the_api_lists_them() -> None:
    name = track_name("default", ANNA, PEER_1)
    layers = ["b", "a", None]
    listed = [FoundFile(name=name, media="audio", layer=layer) for layer in layers]
    for found in (listed, listed[::-1]):
        files = owned_files(found, prefixes=(), user_ids=(), participants=())
        assert [file.layer for file in files] == [None, "a", "b"]


@pytest.mark.parametrize(
    ("stays", "is_known"), [(1, True), (2, False), (0, False)], ids=["one", "two", "none"]
)
def test_the_owner_of_a_file_is_the_one_stay_of_its_peer(stays: int, is_known: bool) -> None:
    file = owned(track_name("default", ANNA, PEER_1), participants=[person(PEER_1, ANNA)] * stays)
    assert (file.participant == person(PEER_1, ANNA)) is is_known


def test_files_are_ordered_by_time_then_name_and_undated_files_come_last() -> None:
    names = [
        "undated.webm",
        track_name("p", BERT, PEER_2, "peer_audio_1783406002832.webm"),
        track_name("p", ANNA, PEER_1, "peer_audio_1783406002832.webm"),
        track_name("p", BERT, PEER_1, "peer_audio_1783406002831.webm"),
    ]
    files = owned_files([found(name) for name in names], prefixes=[], user_ids=[], participants=[])
    assert [file.file_name for file in files] == [names[3], names[2], names[1], names[0]]


# Ids made of each other's pieces, of the ending's words and of digits that look like times.
awkward = st.one_of(
    st.text("ab_ -", min_size=1, max_size=6),
    st.lists(
        st.sampled_from(["a", "b", "peer", "audio", "media", "kind", ANNA, "1783406002832", " "]),
        min_size=1,
        max_size=4,
    ).map("_".join),
)
uuids = st.uuids(version=4).map(str)
endings = st.sampled_from(["peer_audio", "peer_media_kind_audio", "screenshare_video"])


@given(
    prefixes=st.lists(awkward, min_size=1, max_size=3),
    people=st.lists(st.tuples(awkward, awkward), min_size=1, max_size=6, unique_by=itemgetter(1)),
    ending=endings,
)
def test_every_owner_is_right_if_the_participants_are_known(
    prefixes: list[str], people: list[tuple[str, str]], ending: str
) -> None:
    (user, peer), tail = people[0], f"{ending}_{EPOCH_MS}.webm"
    name = track_name(prefixes[0], user, peer, tail)
    spelt_alike = {
        (user_id, peer_id)
        for user_id, peer_id in people
        for prefix in prefixes
        if track_name(prefix, user_id, peer_id, tail) == name
    }
    assume(len(spelt_alike) == 1)
    rows = [person(peer_id, user_id, f"custom {peer_id}") for user_id, peer_id in people]
    file = owned(name, prefixes=prefixes, participants=rows)
    assert (file.user_id, file.peer_id, file.custom_participant_id) == (
        user,
        peer,
        f"custom {peer}",
    )


@given(prefix=awkward, user=uuids, peer=uuids, ending=endings)
def test_uuids_are_read_after_any_prefix_if_nothing_is_known(
    prefix: str, user: str, peer: str, ending: str
) -> None:
    file = owned(track_name(prefix, user, peer, f"{ending}_{EPOCH_MS}.webm"))
    assert (file.user_id, file.peer_id) == (user, peer)


@given(
    prefix=awkward,
    misleading=st.lists(awkward, max_size=3),
    user=uuids,
    peer=uuids,
    listed=st.lists(uuids, max_size=3),
    others=st.lists(st.tuples(uuids, uuids), max_size=3),
)
def test_an_owner_with_uuids_is_never_wrong(
    prefix: str,
    misleading: list[str],
    user: str,
    peer: str,
    listed: list[str],
    others: list[tuple[str, str]],
) -> None:
    file = owned(
        track_name(prefix, user, peer),
        prefixes=misleading,
        user_ids=listed,
        participants=[person(peer_id, user_id) for user_id, peer_id in others],
    )
    assert file.user_id in (user, None)
    assert file.peer_id == peer


@given(name=st.text(max_size=80), peer_id=st.none() | awkward)
def test_any_name_yields_a_file(name: str, peer_id: str | None) -> None:
    file = owned(found(name, peer_id=peer_id), prefixes=["a"], user_ids=["b"])
    assert (file.file_name, file.peer_id) == (name, peer_id or file.peer_id)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda children: (
            st.lists(children)
            | st.dictionaries(
                st.sampled_from(["links", "layer_name", "download_urls", "download_url", "x.webm"]),
                children,
            )
        ),
    )
)
def test_no_json_value_breaks_the_search_for_files(value: object) -> None:
    assert all(file.download_url != "" for file in found_files(value, None))


def test_the_time_in_the_name_is_exact_to_the_millisecond() -> None:
    file = owned(track_name("p", ANNA, PEER_1))
    assert file.recorded_at is not None
    assert re.search(r"\.832000", file.recorded_at.isoformat())
