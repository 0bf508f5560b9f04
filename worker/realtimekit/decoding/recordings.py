"""From the API's answers about recordings to snapshots.

The API leaves out members it calls required, and gives others in several forms: every member of
the structs here is optional and of any type, and is read by what it turns out to be.
"""

from typing import Any

import msgspec

from recording_schemas import Kind, Status
from worker.domain.snapshot import FoundFile, RecordingSnapshot, Storage
from worker.domain.track_files import found_files, is_track_name, media_of, name_in_url
from worker.realtimekit.decoding.fields import (
    Paging,
    Unreadable,
    decoded,
    is_last,
    reason,
    text,
    time,
    whole,
)
from worker.realtimekit.models import RecordingPage
from worker.realtimekit.redaction import secrets_in, without_secrets

_LONGEST_ERROR = 500
_KINDS: dict[str, Kind] = {"TRACK": "track", "COMPOSITE": "composite", "BROWSER": "composite"}
_COMPOSITE_ENDINGS = (".mp4", ".webm", ".mkv", ".mp3", ".m4a", ".aac")


class _Recording(msgspec.Struct):
    id: Any = None
    status: Any = None
    type: Any = None
    meeting_id: Any = None
    meeting: Any = None
    session_id: Any = None
    invoked_time: Any = None
    started_time: Any = None
    stopped_time: Any = None
    recording_duration: Any = None
    output_file_name: Any = None
    start_reason: Any = None
    stop_reason: Any = None
    err_message: Any = None
    err_message_camel: Any = msgspec.field(default=None, name="errMessage")
    download_url: Any = None
    download_url_expiry: Any = None
    audio_download_url: Any = None
    download_audio_url: Any = None
    storage_config: Any = None
    recording: "_Recording | None" = None


class _One(msgspec.Struct):
    data: _Recording | list[_Recording | None] | None = None
    success: Any = None


class _Many(msgspec.Struct):
    data: list[_Recording | None] | None = None
    success: Any = None
    paging: Paging | None = None


_ONE = msgspec.json.Decoder(_One)
_MANY = msgspec.json.Decoder(_Many)


def read_recording(
    body: bytes | bytearray,
    *,
    recording_id: str | None = None,
    meeting_id: str | None = None,
    kind: Kind | None = None,
    status: Status | None = None,
) -> RecordingSnapshot:
    """The recording in `data` or `data.recording`, or the first readable one of a list.

    The keywords are what the request itself tells: they stand in for what the answer lacks.
    Raises `Unreadable` when then still no id or no known status is there.
    """
    answer = decoded(body, _ONE)
    found = answer.data if isinstance(answer.data, list) else [answer.data]
    if answer.success is not False:
        for item in found:
            if snapshot := _snapshot(item, recording_id, meeting_id, kind, status):
                return snapshot
    raise Unreadable("the answer holds no recording with an id and a known status")


def read_page(
    body: bytes | bytearray, *, per_page: int | None = None, meeting_id: str | None = None
) -> RecordingPage:
    """One page of the list; items without an id or a known status are counted, not read."""
    answer = decoded(body, _MANY)
    if answer.success is False or answer.data is None:
        raise Unreadable("the answer holds no list of recordings")
    snapshots = [_snapshot(item, None, meeting_id, None, None) for item in answer.data]
    readable = tuple(snapshot for snapshot in snapshots if snapshot is not None)
    return RecordingPage(
        recordings=readable,
        total_count=whole(answer.paging.total_count) if answer.paging else None,
        end_offset=whole(answer.paging.end_offset) if answer.paging else None,
        last=is_last(answer.paging, len(answer.data), per_page),
        unreadable=len(snapshots) - len(readable),
    )


def _snapshot(
    item: _Recording | None,
    recording_id: str | None,
    meeting_id: str | None,
    kind: Kind | None,
    status: Status | None,
) -> RecordingSnapshot | None:
    if item is None:
        return None
    item = item.recording or item
    recording_id = text(item.id) or recording_id
    status = _status(item.status) or status
    # Neither database finds an id again that has a NUL character.
    if recording_id is None or "\x00" in recording_id or status is None:
        return None
    storage = _storage(item.storage_config)
    return RecordingSnapshot(
        recording_id=recording_id,
        status=status,
        kind=kind or _kind(item),
        meeting_id=text(item.meeting_id) or _meeting_id(item.meeting) or meeting_id,
        session_id=text(item.session_id),
        invoked_time=time(item.invoked_time),
        started_time=time(item.started_time),
        stopped_time=time(item.stopped_time),
        recording_duration=whole(item.recording_duration),
        output_file_name=text(item.output_file_name),
        start_reason=reason(item.start_reason),
        stop_reason=reason(item.stop_reason),
        error_message=_error_message(item),
        download_url_expiry=time(item.download_url_expiry),
        storage=storage,
        files=_files(item, status, storage),
    )


def _status(value: object) -> Status | None:
    return Status.__members__.get(value) if isinstance(value, str) else None


def _kind(item: _Recording) -> Kind | None:
    """The type is an empty string in lists: then the file name or the files' shape tells."""
    named = _KINDS.get(item.type.upper()) if isinstance(item.type, str) else None
    if named is not None:
        return named
    name = text(item.output_file_name) or ""
    if is_track_name(name) or isinstance(item.download_url, dict | list):
        return "track"
    single_file = text(item.download_url) or text(item.audio_download_url)
    if single_file or name.lower().endswith(_COMPOSITE_ENDINGS) or _storage(item.storage_config):
        return "composite"
    return None


def _meeting_id(meeting: object) -> str | None:
    return text(meeting.get("id")) if isinstance(meeting, dict) else None


def _storage(config: object) -> Storage | None:
    if not isinstance(config, dict) or (kind := text(config.get("type"))) is None:
        return None
    return Storage(type=kind, bucket=text(config.get("bucket")), path=text(config.get("path")))


def _error_message(item: _Recording) -> str | None:
    words = text(item.err_message) or text(item.err_message_camel)
    if words is None:
        return None
    secrets = secrets_in({"storage_config": item.storage_config})
    return without_secrets(words, secrets)[:_LONGEST_ERROR]


def _files(item: _Recording, status: Status, storage: Storage | None) -> tuple[FoundFile, ...]:
    name = text(item.output_file_name)
    files = found_files(item.download_url, name)
    audio_url = text(item.audio_download_url) or text(item.download_audio_url)
    if audio_url and all(file.download_url != audio_url for file in files):
        files += (_audio_file(audio_url, [file.name for file in files]),)
    if not files and storage and status is Status.UPLOADED and name and not is_track_name(name):
        files = (FoundFile(name=name, media=media_of(name)),)
    return files


def _audio_file(url: str, taken: list[str]) -> FoundFile:
    name = name_in_url(url)
    if not name or name in taken:
        stem = taken[0].rpartition(".")[0] if taken else ""
        name = f"{stem or 'recording'}-audio"
    return FoundFile(name=name, media="audio", download_url=url)
