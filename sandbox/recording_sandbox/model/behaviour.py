"""How the emulated API behaves where sources on the real one disagree or say nothing."""

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Status = Literal["INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED"]
Shape = Literal["layers", "links", "string", "null", "empty_list", "empty_links"]
FileNameForm = Literal["epoch_ms", "iso", "screen_share", "part"]
RateLimit = Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d*/[1-9]\d*(:recordings)?$")]

LIVE: tuple[Status, ...] = ("INVOKED", "RECORDING", "PAUSED")
ENDED: tuple[Status, ...] = ("UPLOADED", "ERRORED")
STATUSES: tuple[Status, ...] = (*LIVE, "UPLOADING", *ENDED)


class Behaviour(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Every rule that can be changed. A field may be set at any time and counts from then on.

    Seconds are sandbox time, except in fields whose name begins with `real_`.
    """

    # The lifecycle.
    invoked_seconds: Seconds = 1.0
    uploading_seconds: Seconds = 1.0
    empty_seconds: Seconds = 60.0  # How long a session without participants lives.
    retention_seconds: Seconds = 7 * 86400.0  # How long a URL lives, from its signing on.
    resign_seconds: Seconds | None = None  # URLs are signed again this often; 0: in each answer.
    file_bytes: Annotated[int, msgspec.Meta(ge=1)] | None = None  # WebM and MP4 are padded to it.
    live_webm: bool = False  # WebM files are as streamed: without a duration, of unknown size.
    short_recordings_fail: bool = False  # Under `short_seconds`, a recording ends as ERRORED.
    short_seconds: Seconds = 5.0

    # Refusals, and their status.
    strict: bool = False  # An unknown meeting is 404, and only listed tokens are valid.
    validation_status: Literal[400, 422] = 400
    no_session_status: Literal[400, 404] = 400  # For a track start without a live session.
    ended_status: Literal[400, 404, 409] = 404  # For a stop, pause or resume after the end.
    max_recordings: Annotated[int, msgspec.Meta(ge=0)] | None = None  # Live ones at a time.
    max_recordings_status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 429
    second_track_conflicts: bool = False  # Whether a second track recording in a meeting is 409.

    # Responses.
    shown_statuses: dict[Status, object] = {}  # In responses and webhooks in place of a status.
    list_shown_statuses: bool = True  # Whether a list by status has recordings shown otherwise.
    first_page: Literal[0, 1] = 1  # The number of the first page of each list.
    default_per_page: Annotated[int, msgspec.Meta(ge=1)] = 20
    max_per_page: Annotated[int, msgspec.Meta(ge=1)] = 100
    long_pages: Literal["cut", "refuse"] = "cut"  # What happens to a page above `max_per_page`.
    newest_first: bool = True  # The order of the list by default.
    list_lag_seconds: Seconds = 0.0  # The list is this much out of date.
    participant_lag_seconds: Seconds = 0.0  # The list of a meeting's participants is this old.
    newest_participants_first: bool = False  # The order of that list.
    list_reasons: bool = False  # Whether a list says why and by whom recordings were started.
    track_download_url: Shape = "layers"
    list_track_urls: bool = False  # Whether a list has the URLs of track recordings, as a GET has.
    track_file_names: FileNameForm = "epoch_ms"
    track_start_nested: bool = True  # The recording is `data.recording`, else `data` itself.

    # Downloads.
    download_root_url: str | None = None  # Where file URLs point to; this server by default.
    download_ranges: bool = True  # Whether Range is honoured.
    download_lengths: bool = True  # Whether a download says its Content-Length.

    # Webhooks.
    webhook_statuses: tuple[Status, ...] = ("RECORDING", "UPLOADING", "UPLOADED", "ERRORED")
    webhook_generation: Literal["cloudflare", "dyte"] = "cloudflare"
    webhook_track_urls: bool = False  # Whether the webhook of an uploaded track has its URLs.
    webhook_retry_keeps_uuid: bool = False
    webhook_attempts: Annotated[int, msgspec.Meta(ge=1)] = 6
    real_webhook_retry_seconds: Seconds = 0.5  # Doubled with each attempt.
    real_webhook_timeout_seconds: Seconds = 10.0

    # Requests/seconds: "1200/300" limits all requests, "1000/50:recordings" those of recordings.
    rate_limits: tuple[RateLimit, ...] = ()
    real_rate_block_seconds: Seconds = 300.0
    rate_headers: bool = True  # Responses have Ratelimit and Ratelimit-Policy headers.

    def change(self, fields: dict[str, object]) -> None:
        """Set several fields at once.

        Raises:
            msgspec.ValidationError: if a field is unknown or invalid. Then no field is changed.
        """
        checked = msgspec.convert({**msgspec.structs.asdict(self), **fields}, type(self))
        for name in fields:
            setattr(self, name, getattr(checked, name))
