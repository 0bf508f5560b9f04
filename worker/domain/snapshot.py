"""The value that enters the state, whoever read it from the API.

The answer to a command, a page of the list and a webhook all become a `RecordingSnapshot`. A field
is None where the API said nothing; the API may leave out any of them but the id and the status.
"""

from datetime import datetime

import msgspec

from recording_schemas import Kind, Media, Status


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file the API lists for a recording, before its owner is known.

    `peer_id` and `custom_participant_id` are only set when the
    payload itself names them.
    """

    name: str
    media: Media
    layer: str | None = None
    download_url: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file lies in the customer's own storage. Never holds a credential."""

    type: str
    bucket: str | None = None
    path: str | None = None


class RecordingSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One recording as the API described it at one moment. Times are aware, durations seconds.

    `kind` is None when neither the answer nor the file name tells. `files` is empty both when
    there are none and when the answer does not carry them: only a GET can tell.
    """

    recording_id: str
    status: Status
    kind: Kind | None = None
    meeting_id: str | None = None
    session_id: str | None = None
    invoked_time: datetime | None = None
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    recording_duration: int | None = None
    output_file_name: str | None = None
    start_reason: str | None = None
    stop_reason: str | None = None
    error_message: str | None = None
    download_url_expiry: datetime | None = None
    storage: Storage | None = None
    files: tuple[FoundFile, ...] = ()


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """One presence of a person in a session; a person who rejoins has several with one `user_id`.

    `peer_id` is the API's row `id`; `user_id` is RealtimeKit's participant id, the one that
    `user_ids` of a start command means; `custom_participant_id` is the customer's own.
    """

    peer_id: str
    user_id: str | None = None
    custom_participant_id: str | None = None
