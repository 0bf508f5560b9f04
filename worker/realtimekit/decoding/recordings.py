"""Decodes responses about recordings into snapshots.

The API leaves out fields that it documents as required, and sends others in several forms.
Therefore every field of the structs here is optional and of any type, and its value decides how it
is read.
"""

from typing import Any

import msgspec

from recording_schemas import Kind, Status
from worker.domain.file_names import is_template, media_of, name_in_url
from worker.domain.found_files import found_files
from worker.domain.snapshot import FoundFile, RecordingSnapshot, Storage
from worker.realtimekit.decoding.fields import (
    Unreadable,
    aware_time,
    caller_type,
    decode,
    is_another_uuid,
    is_last_page,
    listed,
    non_negative_int,
    read_paging,
    reason,
    recording_id_of,
    text,
)
from worker.realtimekit.decoding.kinds import KindEvidence, ShownKind, shown_kind
from worker.realtimekit.decoding.statuses import ReadStatus, read_status
from worker.realtimekit.models import RecordingPage
from worker.realtimekit.redaction import redact, secrets_in
from worker.realtimekit.urls import API_ID


class RecordingFields(msgspec.Struct):
    """The fields of a recording in a response, of any type."""

    id: Any = None
    status: Any = msgspec.UNSET
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
    recording: Any = None


class _RecordingEnvelope(msgspec.Struct):
    data: RecordingFields | list[RecordingFields | None] | None = None
    success: Any = None


class _PageEnvelope(msgspec.Struct):
    data: list[RecordingFields | None] | None = None
    success: Any = None
    paging: Any = None


class _AnyPageEnvelope(msgspec.Struct):
    data: list[Any] | None = None
    success: Any = None
    paging: Any = None


_RECORDING = msgspec.json.Decoder(_RecordingEnvelope)
_PAGE = msgspec.json.Decoder(_PageEnvelope)
_ANY_PAGE = msgspec.json.Decoder(_AnyPageEnvelope)


def decode_recording(
    body: bytes | bytearray,
    *,
    recording_id: str | None = None,
    meeting_id: str | None = None,
    kind: Kind | None = None,
    status: Status | None = None,
) -> RecordingSnapshot:
    """The recording in `data` or `data.recording`, or the first usable one if that is a list.

    The keyword arguments are known from the request. They replace fields that the body lacks.
    Raises `Unreadable` without an id, without an id and a status in the body itself, and if the
    body is about another recording than `recording_id`, or about another meeting than `meeting_id`.
    A proxy that confuses its connections answers with the response to another request.
    """
    envelope = decode(body, _RECORDING)
    items = envelope.data if isinstance(envelope.data, list) else [envelope.data]
    if envelope.success is not False:
        for item in items:
            snapshot = _snapshot(item, recording_id, meeting_id, kind, status)
            if snapshot and not is_another_uuid(snapshot.meeting_id, meeting_id):
                return snapshot
    raise Unreadable("the body has no recording that was requested, with an id")


def decode_recording_page(
    body: bytes | bytearray,
    *,
    page_no: int = 1,
    per_page: int | None = None,
    meeting_id: str | None = None,
) -> RecordingPage:
    """One page of the list. Items without an id are counted and left out.

    Raises `Unreadable` without a list.
    """
    envelope = _decode_page(body)
    paging = read_paging(envelope.paging)
    total_count = non_negative_int(paging.total_count) if paging else None
    if envelope.success is False:
        raise Unreadable("the body has no list of recordings")
    items = listed(envelope.data, paging, page_no=page_no, what="recordings")
    snapshots = [_snapshot(item, None, meeting_id, None, None) for item in items]
    readable = tuple(snapshot for snapshot in snapshots if snapshot is not None)
    return RecordingPage(
        recordings=readable,
        total_count=total_count,
        end_offset=non_negative_int(paging.end_offset) if paging else None,
        is_last=is_last_page(paging, len(items), per_page),
        unreadable_count=len(snapshots) - len(readable),
    )


def _decode_page(body: bytes | bytearray) -> _PageEnvelope:
    """The page. If one item has an undocumented form, the others still count."""
    try:
        return decode(body, _PAGE)
    except Unreadable:
        page = decode(body, _ANY_PAGE)
    items = None if page.data is None else [_fields(item) for item in page.data]
    return _PageEnvelope(data=items, success=page.success, paging=page.paging)


def _fields(item: object) -> RecordingFields | None:
    try:
        return msgspec.convert(item, RecordingFields)
    except msgspec.ValidationError:
        return None


def _snapshot(
    item: RecordingFields | None,
    recording_id: str | None,
    meeting_id: str | None,
    kind: Kind | None,
    status: Status | None,
) -> RecordingSnapshot | None:
    if item is None:
        return None
    item = (_fields(item.recording) if item.recording else None) or item
    own_id, has_status = recording_id_of(item.id), item.status is not msgspec.UNSET
    recording_id = _known_id(own_id, recording_id)
    if recording_id is None or not API_ID.fullmatch(recording_id):
        return None
    if not (own_id or has_status or status):
        return None
    read = read_status(item.status) if has_status or status is None else ReadStatus(status)
    storage = _storage(item.storage_config)
    shown_kind = ShownKind(kind) if kind else _kind(item)
    return RecordingSnapshot(
        recording_id=recording_id,
        status=read.status,
        unknown_status=read.unknown,
        kind=shown_kind.kind,
        kind_is_guessed=shown_kind.is_guessed,
        meeting_id=text(item.meeting_id) or _meeting_id(item.meeting) or meeting_id,
        session_id=text(item.session_id),
        invoked_time=aware_time(item.invoked_time),
        started_time=aware_time(item.started_time),
        stopped_time=aware_time(item.stopped_time),
        recording_duration=non_negative_int(item.recording_duration),
        output_file_name=text(item.output_file_name),
        start_reason=reason(item.start_reason),
        start_caller=caller_type(item.start_reason),
        stop_reason=reason(item.stop_reason),
        error_message=_error_message(item),
        download_url_expiry=aware_time(item.download_url_expiry),
        storage=storage,
        files=files_of(item, read.status, storage, shown_kind.kind),
    )


def _known_id(own_id: str | None, requested_id: str | None) -> str | None:
    """The id under which the recording is known. None if it is not the one that was requested.

    An answer may write the id of its request with or without hyphens.
    """
    if own_id is None or requested_id is None:
        return own_id or requested_id
    if own_id.replace("-", "").lower() != requested_id.replace("-", "").lower():
        return None
    return own_id if own_id == requested_id.lower() else requested_id


def _kind(item: RecordingFields) -> ShownKind:
    return shown_kind(
        KindEvidence(
            type=item.type,
            output_file_name=item.output_file_name,
            download_url=item.download_url,
            has_audio_url=_audio_url(item) is not None,
            has_storage=_storage(item.storage_config) is not None,
        )
    )


def _audio_url(item: RecordingFields) -> str | None:
    return text(item.audio_download_url) or text(item.download_audio_url)


def _meeting_id(meeting: object) -> str | None:
    return text(meeting.get("id")) if isinstance(meeting, dict) else None


def _storage(config: object) -> Storage | None:
    if not isinstance(config, dict) or (kind := text(config.get("type"))) is None:
        return None
    return Storage(type=kind, bucket=text(config.get("bucket")), path=text(config.get("path")))


def _error_message(item: RecordingFields) -> str | None:
    message = text(item.err_message) or text(item.err_message_camel)
    if message is None:
        return None
    secrets = secrets_in({"storage_config": item.storage_config})
    return redact(message, secrets)


def files_of(
    item: RecordingFields, status: Status, storage: Storage | None, kind: Kind | None
) -> tuple[FoundFile, ...]:
    """The files that the fields show, each with the name that all answers give it."""
    name = text(item.output_file_name)
    files = found_files(item.download_url, name)
    audio_url = _audio_url(item)
    if audio_url and all(file.download_url != audio_url for file in files):
        files += (_audio_file(audio_url, [file.name for file in files], name or ""),)
    lies_in_storage = not files and storage and status is Status.UPLOADED and kind != "track"
    if lies_in_storage and name and not is_template(name):
        files = (FoundFile(name=name, media=media_of(name)),)
    return files


def _audio_file(url: str, names: list[str], output_name: str) -> FoundFile:
    """The audio file. Its name does not depend on whether the video file is already listed."""
    is_of_video = media_of(output_name) == "video" and not is_template(output_name)
    name = name_in_url(url)
    if not (output_name and is_of_video) and media_of(name) == "video":
        # The video file may have the same name, and be listed later.
        stem = name.rpartition(".")[0] or name or "recording"
        return FoundFile(name=f"{stem}-audio", media="audio", download_url=url)
    video = names[0] if names else output_name if is_of_video else ""
    if not name or name in {*names, video}:
        stem = video.rpartition(".")[0]
        name = f"{stem or 'recording'}-audio"
    return FoundFile(name=name, media="audio", download_url=url)
