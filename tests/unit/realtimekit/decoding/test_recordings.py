"""How the API's answers about recordings become snapshots."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recording_schemas import Status
from worker.domain.snapshot import FoundFile, RecordingSnapshot, Storage
from worker.realtimekit.decoding.fields import Unreadable
from worker.realtimekit.decoding.recordings import decode_recording, decode_recording_page
from worker.realtimekit.decoding.sessions import decode_session
from worker.realtimekit.redaction import redact_snapshot

TEMPLATE = (
    "{{file_name_prefix}}_{{user_id}}_{{peer_id}}_{{stream_kind}}_{{media_kind}}_{{date_time}}.webm"
)
PAIR = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b01_c9e8d7b6-a504-4392-8170-6f5e4d3c2b01"
LOOKS_LIKE_A_TRACK = f"d_{PAIR}_peer_audio_1783406002832.webm"
VIDEO = "https://files.example/o/weekly.mp4?X-Goog-Signature=1"
AUDIO = "https://files.example/o/weekly.mp3?X-Goog-Signature=2"
LAYERS = [{"layer_name": "default", "download_urls": {"a.webm": {"download_url": VIDEO}}}]


def body(data: object, **fields: object) -> bytes:
    return json.dumps({"success": True, "data": data, **fields}).encode()


def snapshot(**fields: Any) -> RecordingSnapshot:
    return decode_recording(body({"id": "rec-1", "status": "RECORDING"} | fields))


def test_a_full_response_becomes_a_snapshot() -> None:
    assert snapshot(
        status="UPLOADED",
        type="COMPOSITE",
        meeting_id="m-1",
        session_id="s-1",
        invoked_time="2026-11-01T10:00:00.000Z",
        started_time="2026-11-01T10:00:02Z",
        stopped_time="2026-11-01T12:30:00+02:00",
        recording_duration=1798,
        output_file_name="weekly.mp4",
        file_size=12,
        start_reason={"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}},
        stop_reason={"reason": "ALL_PEERS_LEFT"},
        err_message=None,
        download_url=VIDEO,
        download_url_expiry="2026-11-08T10:30:00.000Z",
        audio_download_url=AUDIO,
        storage_config=None,
        invented_tomorrow={"x": [1]},
    ) == RecordingSnapshot(
        recording_id="rec-1",
        status=Status.UPLOADED,
        kind="composite",
        meeting_id="m-1",
        session_id="s-1",
        invoked_time=datetime(2026, 11, 1, 10, tzinfo=UTC),
        started_time=datetime(2026, 11, 1, 10, 0, 2, tzinfo=UTC),
        stopped_time=datetime(2026, 11, 1, 10, 30, tzinfo=UTC),
        recording_duration=1798,
        output_file_name="weekly.mp4",
        start_reason="API_CALL",
        start_caller="ORGANIZATION",
        stop_reason="ALL_PEERS_LEFT",
        download_url_expiry=datetime(2026, 11, 8, 10, 30, tzinfo=UTC),
        files=(
            FoundFile(name="weekly.mp4", media="video", download_url=VIDEO),
            FoundFile(name="weekly.mp3", media="audio", download_url=AUDIO),
        ),
    )


def test_an_id_and_a_status_are_enough() -> None:
    assert snapshot() == RecordingSnapshot(recording_id="rec-1", status=Status.RECORDING)


@pytest.mark.parametrize(
    "data",
    [
        {"id": "rec-1", "status": "INVOKED"},
        {"recording": {"id": "rec-1", "status": "INVOKED"}},
        [None, {"id": "rec-1", "status": "INVOKED"}],
    ],
    ids=["data", "data.recording", "a list"],
)
def test_a_recording_is_found_in_every_known_place(data: object) -> None:
    assert decode_recording(body(data)).recording_id == "rec-1"


def test_values_of_the_request_stand_in_for_fields_the_response_lacks() -> None:
    found = decode_recording(
        body({}), recording_id="rec-1", meeting_id="m", kind="track", status=Status.INVOKED
    )
    assert (found.recording_id, found.meeting_id, found.kind) == ("rec-1", "m", "track")
    assert found.status is Status.INVOKED


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"success": true}',
        b'{"success": true, "data": null}',
        b'{"success": true, "data": "text"}',
        b'{"success": true, "data": {}}',
        b'{"success": true, "data": {"id": 7, "status": "INVOKED"}}',
        b'{"success": true, "data": {"id": "rec\\u0000", "status": "INVOKED"}}',
        b'{"success": false, "data": {"id": "rec-1", "status": "INVOKED"}}',
    ],
)
def test_a_response_without_an_id_is_unreadable(answer: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_recording(answer)


def test_an_answer_about_another_recording_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        decode_recording(body({"id": "rec-2", "status": "UPLOADED"}), recording_id="rec-1")


UUID = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b01"


OTHER_UUID = "bbbb7c10-5d2e-4b7a-8c3f-1e9d0f2a4b01"


@pytest.mark.parametrize("other", [OTHER_UUID, OTHER_UUID.upper().replace("-", "")])
def test_an_answer_about_another_meeting_is_unreadable(other: str) -> None:
    row = {"id": "rec-1", "status": "INVOKED", "meeting_id": other}
    with pytest.raises(Unreadable):
        decode_recording(body(row), meeting_id=UUID)
    session = json.dumps({"success": True, "data": {"associated_id": other, "status": "LIVE"}})
    with pytest.raises(Unreadable):
        decode_session(session.encode(), meeting_id=UUID)


@pytest.mark.parametrize("same", [UUID.upper(), UUID.replace("-", ""), "abcdef-ghijkl", "", None])
def test_an_answer_about_the_meeting_in_another_spelling_is_taken(same: str | None) -> None:
    row = {"id": "rec-1", "status": "INVOKED", "meeting_id": same}
    assert decode_recording(body(row), meeting_id=UUID).recording_id == "rec-1"
    session = json.dumps({"success": True, "data": {"associated_id": same, "status": "LIVE"}})
    assert decode_session(session.encode(), meeting_id=UUID).is_live


@pytest.mark.parametrize("answered", [UUID, UUID.upper(), UUID.replace("-", "")])
@pytest.mark.parametrize("requested", [UUID, UUID.upper()])
def test_one_recording_has_one_id_in_every_form_that_the_api_writes(
    requested: str, answered: str
) -> None:
    answer = body({"id": answered, "status": "RECORDING"})
    if "-" in answered:
        assert decode_recording(answer, recording_id=requested).recording_id == UUID
        assert decode_recording(answer).recording_id == UUID
    else:
        assert decode_recording(answer, recording_id=requested).recording_id == requested


@pytest.mark.parametrize(
    ("status", "unknown"),
    [
        ("TRANSCODING", "TRANSCODING"),
        ("recording", "recording"),
        ("", '""'),
        ("\x1b[2J", "a string of 4 characters"),
        ("S" * 500, "a string of 500 characters"),
        (None, "null"),
        (7, "a JSON number"),
        (True, "a JSON boolean"),
        ({"now": "RECORDING"}, "a JSON object"),
        (["RECORDING"], "a JSON array"),
    ],
)
def test_an_unknown_status_shows_that_the_recording_exists(status: object, unknown: str) -> None:
    odd = snapshot(status=status)
    assert (odd.status, odd.unknown_status) == ("INVOKED", unknown)


def test_an_absent_status_is_unknown_except_in_the_answer_to_a_start() -> None:
    answer = b'{"success": true, "data": {"id": "rec-1"}}'
    assert decode_recording(answer).unknown_status == "(absent)"
    assert decode_recording(answer, status=Status.INVOKED).unknown_status is None


def test_fields_of_an_unexpected_form_count_as_missing() -> None:
    odd = snapshot(
        type=3,
        meeting_id=5,
        meeting=[],
        session_id={},
        invoked_time="yesterday",
        started_time=1700000000,
        stopped_time="",
        recording_duration="long",
        output_file_name=[],
        start_reason=7,
        stop_reason=[],
        err_message={},
        download_url=9,
        audio_download_url=[],
        storage_config="aws",
    )
    assert odd == snapshot()


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [(209, 209), ("209", 209), (209.9, 209), ("1e400", None), (-1, None), (True, None)],
)
def test_a_duration_is_whole_seconds_in_any_spelling(duration: object, seconds: int | None) -> None:
    assert snapshot(recording_duration=duration).recording_duration == seconds


def test_a_leap_second_is_read() -> None:
    stopped = snapshot(stopped_time="2016-12-31T23:59:60.250Z").stopped_time
    assert stopped == datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def test_times_with_a_space_and_microseconds_are_read() -> None:
    at = snapshot(started_time="2023-04-14 04:46:08.306221Z").started_time
    assert at == datetime(2023, 4, 14, 4, 46, 8, 306221, tzinfo=UTC)


@pytest.mark.parametrize(
    "no_time",
    ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59-14:00", 1783406002],
)
def test_an_impossible_time_counts_as_missing(no_time: object) -> None:
    found = snapshot(invoked_time=no_time, download_url_expiry=no_time)
    assert (found.invoked_time, found.download_url_expiry) == (None, None)


def test_a_time_without_an_offset_is_utc() -> None:
    assert snapshot(started_time="2023-04-14T04:46:08").started_time == datetime(
        2023, 4, 14, 4, 46, 8, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "reason",
    [
        {"reason": "ALL_PEERS_LEFT", "caller": {"type": "USER"}},
        "{'reason':'ALL_PEERS_LEFT','caller':{'type':'INTERNAL'}}",
        '{"reason": "ALL_PEERS_LEFT"}',
        "ALL_PEERS_LEFT",
    ],
)
def test_a_stop_reason_is_found_in_an_object_and_in_text(reason: object) -> None:
    assert snapshot(stop_reason=reason).stop_reason == "ALL_PEERS_LEFT"


def test_an_unknown_reason_is_kept() -> None:
    assert snapshot(stop_reason={"reason": "SOLAR_FLARE"}).stop_reason == "SOLAR_FLARE"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"type": "TRACK"}, "track"),
        ({"type": "COMPOSITE"}, "composite"),
        ({"type": "BROWSER"}, "composite"),
        ({"type": "", "output_file_name": TEMPLATE}, "track"),
        ({"output_file_name": f"d_{PAIR}_peer_audio_1783406002832.webm"}, "track"),
        ({"output_file_name": f"d_{PAIR}_peer_audio_1783406002832.mp4"}, "composite"),
        ({"output_file_name": "d_u_p_peer_audio_1783406002832.webm"}, "composite"),
        ({"output_file_name": "sales_call_audio_1783406002832.mp4"}, "composite"),
        ({"output_file_name": "sales_call_audio_1783406002832.MP4"}, "composite"),
        (
            {"output_file_name": f"{LOOKS_LIKE_A_TRACK}", "storage_config": {"type": "aws"}},
            "composite",
        ),
        ({"output_file_name": f"{LOOKS_LIKE_A_TRACK}", "audio_download_url": AUDIO}, "composite"),
        ({"output_file_name": f"{LOOKS_LIKE_A_TRACK}", "download_url": VIDEO}, "composite"),
        ({"output_file_name": f"{LOOKS_LIKE_A_TRACK}", "type": "COMPOSITE"}, "composite"),
        ({"output_file_name": "room.mp4", "type": "TRACK"}, "track"),
        ({"output_file_name": "room.mp4", "download_url": []}, "track"),
        ({"output_file_name": TEMPLATE, "download_url": VIDEO}, "track"),
        ({"download_url": LAYERS}, "track"),
        ({"download_url": {"links": []}}, "track"),
        ({"type": "", "output_file_name": "room_1783406002832.mp4"}, "composite"),
        ({"download_url": VIDEO}, "composite"),
        ({"storage_config": {"type": "aws"}}, "composite"),
        ({"type": "", "output_file_name": "meeting"}, None),
        ({"type": ""}, None),
    ],
)
def test_the_kind_comes_from_the_type_else_from_the_files(
    fields: dict[str, Any], kind: str | None
) -> None:
    assert snapshot(**fields).kind == kind


@pytest.mark.parametrize(
    ("fields", "guessed"),
    [
        ({"output_file_name": LOOKS_LIKE_A_TRACK}, True),
        ({"output_file_name": LOOKS_LIKE_A_TRACK, "type": "TRACK"}, False),
        ({"output_file_name": "team_a_audio_1783406002832.webm"}, True),
        ({"output_file_name": "room_1783406002832.webm"}, False),
        ({"output_file_name": "sales_call_audio_1783406002832.mp4"}, False),
        ({"output_file_name": TEMPLATE}, False),
        ({}, False),
    ],
)
def test_a_kind_that_only_the_form_of_the_name_shows_is_marked_as_guessed(
    fields: dict[str, Any], guessed: bool
) -> None:
    assert snapshot(**fields).kind_is_guessed is guessed


def test_a_composite_in_the_customers_storage_has_its_file_under_any_name() -> None:
    found = snapshot(
        status="UPLOADED",
        output_file_name="sales_call_audio_1783406002832.mp4",
        storage_config={"type": "gcs"},
    )
    assert found.files == (FoundFile(name="sales_call_audio_1783406002832.mp4", media="video"),)


def test_the_picture_of_a_composite_is_video_under_any_name() -> None:
    found = snapshot(
        status="UPLOADED", output_file_name="a_b_audio_1783406002832.mp4", download_url=VIDEO
    )
    assert [file.media for file in found.files] == ["video"]


def test_the_meeting_id_is_read_from_the_field_or_from_the_object() -> None:
    assert snapshot(meeting={"id": "m-2", "title": "t"}).meeting_id == "m-2"
    assert snapshot(meeting_id="m-1", meeting={"id": "m-2"}).meeting_id == "m-1"


@pytest.mark.parametrize("field", ["err_message", "errMessage"])
def test_the_error_message_is_found_under_both_names_and_bounded(field: str) -> None:
    found = redact_snapshot(snapshot(**{field: "x" * 9000}), [])
    assert found.error_message == "x" * 500


def test_storage_is_read_without_its_credentials() -> None:
    confidential = "wJalrXUtnFEMI"
    found = snapshot(
        storage_config={"type": "aws", "bucket": "b", "path": "p/", "secret": confidential},
        err_message=f"upload refused for {confidential}",
    )
    assert found.storage == Storage(type="aws", bucket="b", path="p/")
    assert confidential not in repr(found)


def test_a_file_in_the_customers_storage_needs_no_url() -> None:
    found = snapshot(
        status="UPLOADED", output_file_name="weekly.mp4", storage_config={"type": "gcs"}
    )
    assert found.files == (FoundFile(name="weekly.mp4", media="video"),)


def test_no_file_is_in_the_customers_storage_before_it_is_uploaded() -> None:
    assert snapshot(output_file_name="weekly.mp4", storage_config={"type": "gcs"}).files == ()


def test_a_composite_with_only_sound_is_an_audio_file() -> None:
    found = snapshot(output_file_name="weekly.m4a", download_url="https://f.example/weekly.m4a")
    assert [file.media for file in found.files] == ["audio"]


@pytest.mark.parametrize("field", ["audio_download_url", "download_audio_url"])
def test_the_sound_of_a_composite_is_a_separate_file(field: str) -> None:
    found = snapshot(output_file_name="weekly.mp4", download_url=VIDEO, **{field: AUDIO})
    assert [(file.name, file.media, file.download_url) for file in found.files] == [
        ("weekly.mp4", "video", VIDEO),
        ("weekly.mp3", "audio", AUDIO),
    ]


def test_two_files_of_a_composite_never_share_a_name() -> None:
    other = "https://files.example/audio/weekly.mp4"
    found = snapshot(output_file_name="weekly.mp4", download_url=VIDEO, audio_download_url=other)
    assert [file.name for file in found.files] == ["weekly.mp4", "weekly-audio"]


def test_one_url_given_twice_is_one_file() -> None:
    assert len(snapshot(download_url=AUDIO, audio_download_url=AUDIO).files) == 1


def test_files_of_tracks_come_with_their_owners_from_the_payload() -> None:
    entry = {"download_url": VIDEO, "peer_id": "p-1", "custom_participant_id": "c-1"}
    links = {"links": [{"layer_name": "default", "download_urls": {"a.webm": entry}}]}
    (file,) = snapshot(type="TRACK", status="UPLOADED", download_url=links).files
    assert file == FoundFile(
        name="a.webm",
        media="audio",
        layer="default",
        download_url=VIDEO,
        peer_id="p-1",
        custom_participant_id="c-1",
    )


ITEM = {"id": "rec-1", "status": "RECORDING"}


def paging(total: object, end: object) -> dict[str, object]:
    return {"paging": {"total_count": total, "start_offset": 1, "end_offset": end}}


def test_unreadable_items_of_a_page_are_left_out_and_counted() -> None:
    page = decode_recording_page(
        body([ITEM, ITEM | {"status": "MELTED"}, {"status": "RECORDING"}, None], **paging(9, 4))
    )
    assert [found.recording_id for found in page.recordings] == ["rec-1", "rec-1"]
    assert [found.unknown_status for found in page.recordings] == [None, "MELTED"]
    assert (page.unreadable_count, page.total_count, page.end_offset) == (2, 9, 4)


@pytest.mark.parametrize("bad", ["text", 7, [], {"id": "rec-2", "recording": 1, "status": []}])
@pytest.mark.parametrize("paging", [None, [], "1", {"total_count": [], "end_offset": {}}])
def test_an_item_of_any_form_and_odd_paging_do_not_hide_the_other_items(
    bad: object, paging: object
) -> None:
    page = decode_recording_page(body([bad, ITEM], paging=paging))
    assert page.recordings[-1].recording_id == "rec-1"
    assert len(page.recordings) + page.unreadable_count == 2


def test_a_list_that_is_null_is_empty_only_behind_the_first_page_or_without_recordings() -> None:
    assert decode_recording_page(body(None, **paging(0, 0))).recordings == ()
    assert decode_recording_page(body(None, **paging(1, 1)), page_no=2).recordings == ()
    with pytest.raises(Unreadable):
        decode_recording_page(body(None, **paging(1, 1)))


@pytest.mark.parametrize(
    ("items", "fields", "per_page", "last"),
    [
        ([ITEM], paging(1, 1), None, True),
        ([ITEM], paging(2, 1), None, False),
        ([ITEM], paging("2", "1"), None, False),
        ([], paging(2, 1), None, True),
        ([ITEM], {}, 1, False),
        ([ITEM], {}, 2, True),
        ([ITEM], {}, None, True),
        ([ITEM], {"paging": {}}, 1, False),
        ([ITEM] * 19, {}, 100, True),
        ([ITEM] * 20, {}, 100, False),
    ],
)
def test_the_last_page_is_known_by_its_offset_or_by_not_being_full(
    items: list[object], fields: dict[str, object], per_page: int | None, last: bool
) -> None:
    assert decode_recording_page(body(items, **fields), per_page=per_page).is_last is last


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"success": false, "data": []}', b'{"data": {}}', b'{"data": "text"}']
)
def test_a_page_that_is_no_list_is_unreadable(answer: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_recording_page(answer)


@pytest.mark.parametrize("output", ["weekly.mp4", None, "{{user_id}}.mp4"])
@pytest.mark.parametrize("end", ["weekly.mp4", "weekly.mp3", "weekly", ""])
def test_the_sound_of_a_composite_has_one_name_before_and_after_the_video_is_listed(
    end: str, output: str | None
) -> None:
    sound = f"https://files.example/audio/{end}"
    alone = snapshot(output_file_name=output, download_url=None, audio_download_url=sound)
    with_video = snapshot(output_file_name=output, download_url=VIDEO, audio_download_url=sound)
    assert alone.files == with_video.files[1:]
    assert with_video.files[0].name not in {file.name for file in alone.files}


@pytest.mark.parametrize(
    "recording_id", ["a/b", "../x", "a b", "\x1b[2J", "\u202eid", "i" * 129, "é"]
)
def test_a_recording_with_an_id_that_no_request_can_name_is_not_taken(recording_id: str) -> None:
    row = {"id": recording_id, "status": "RECORDING"}
    with pytest.raises(Unreadable):
        decode_recording(json.dumps({"data": row}).encode())
    page = decode_recording_page(json.dumps({"data": [row]}).encode())
    assert (page.recordings, page.unreadable_count) == ((), 1)
