"""The API's description of a recording, in one form for all its answers. Pure.

The answer to a command, an entry of the list and a webhook all become a `RecordingSnapshot`. A
field is None if the API did not give it. The API may leave out all fields but the id and the
status.
"""

from datetime import datetime

import msgspec

from recording_schemas import Kind, Media, Status


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the API lists for a recording, before its owner is known.

    `download_url` is None until the API gives it, and for a file in the customer's own storage.
    `peer_id` and `custom_participant_id` are set only if the API's answer names them.
    """

    name: str
    media: Media
    layer: str | None = None
    download_url: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a file in the customer's own storage. It never holds a credential."""

    type: str
    bucket: str | None = None
    path: str | None = None


class RecordingSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One recording as the API described it at one moment.

    `unknown_status` is set if the API reports a status that is not documented. Then `status` is
    INVOKED, and only shows that the recording exists.

    Times are aware, durations are in seconds. `kind` is None if neither the answer nor the file
    name shows it; `kind_is_guessed` if only the look of the file name does. `start_caller` is the
    type of the caller who started it: ORGANIZATION or USER. An empty `files` may mean that the
    answer lists no files, because only the answer to a GET lists them.
    """

    recording_id: str
    status: Status
    unknown_status: str | None = None
    kind: Kind | None = None
    kind_is_guessed: bool = False
    meeting_id: str | None = None
    session_id: str | None = None
    invoked_time: datetime | None = None
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    recording_duration: int | None = None
    output_file_name: str | None = None
    start_reason: str | None = None
    start_caller: str | None = None
    stop_reason: str | None = None
    error_message: str | None = None
    download_url_expiry: datetime | None = None
    storage: Storage | None = None
    files: tuple[FoundFile, ...] = ()


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """One stay of a person in a session. A person who rejoins has several, with one `user_id`.

    `peer_id` is the API's row `id`. `user_id` is RealtimeKit's participant id, as in `user_ids` of
    a start command. `custom_participant_id` is the customer's own id. `preset_name` names the
    rights with which the person joined. `left_at` is None while the stay continues.
    """

    peer_id: str
    user_id: str | None = None
    custom_participant_id: str | None = None
    display_name: str | None = None
    preset_name: str | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None
