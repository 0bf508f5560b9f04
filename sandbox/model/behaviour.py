"""Where sources on the API disagree or are silent: what this sandbox does, and how to change it."""

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Status = Literal["INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED"]
Shape = Literal["layers", "links", "string", "null", "empty_list", "empty_links"]
RateLimit = Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d*/[1-9]\d*(:recordings)?$")]

LIVE: tuple[Status, ...] = ("INVOKED", "RECORDING", "PAUSED")
ENDED: tuple[Status, ...] = ("UPLOADED", "ERRORED")
STATUSES: tuple[Status, ...] = (*LIVE, "UPLOADING", *ENDED)


class Behaviour(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How this emulated API behaves. Members may be set at any time and count from then on.

    Seconds are sandbox time except where a name begins with `real_`.
    """

    # The lifecycle.
    invoked_seconds: Seconds = 1.0
    uploading_seconds: Seconds = 1.0
    empty_seconds: Seconds = 60.0  # Without participants, until a session and its recordings end.
    retention_seconds: Seconds = 7 * 86400.0  # How long files are kept and their URLs are good.
    short_recordings_fail: bool = False  # Recordings under `short_seconds` end as ERRORED.
    short_seconds: Seconds = 5.0

    # What it refuses, and with which status.
    strict: bool = False  # An unknown meeting is 404, not a live one; only listed tokens are good.
    validation_status: Literal[400, 422] = 400
    no_session_status: Literal[400, 404] = 400  # A track start without a live session.
    ended_status: Literal[400, 404, 409] = 404  # A stop, pause or resume of what has ended.
    second_track_conflicts: bool = False  # A second track recording in one meeting is 409.

    # What it answers.
    default_per_page: Annotated[int, msgspec.Meta(ge=1)] = 20
    max_per_page: Annotated[int, msgspec.Meta(ge=1)] = 100
    newest_first: bool = True  # The list's order when nobody asks for one.
    list_lag_seconds: Seconds = 0.0  # The list shows the world as it was so long ago.
    track_download_url: Shape = "layers"
    list_track_urls: bool = False  # Whether a list tells a track recording's files, as a GET does.
    track_start_nested: bool = True  # `data.recording`; otherwise the recording is `data` itself.

    # Webhooks.
    webhook_statuses: tuple[Status, ...] = ("RECORDING", "UPLOADING", "UPLOADED", "ERRORED")
    webhook_generation: Literal["cloudflare", "dyte"] = "cloudflare"
    webhook_track_urls: bool = False  # Whether an uploaded track's webhook carries its URLs.
    webhook_retry_keeps_uuid: bool = False
    webhook_attempts: Annotated[int, msgspec.Meta(ge=1)] = 6
    real_webhook_retry_seconds: Seconds = 0.5  # Doubled with each attempt.
    real_webhook_timeout_seconds: Seconds = 10.0

    # "1200/300" is requests/seconds for everything, "1000/50:recordings" only for recordings.
    rate_limits: tuple[RateLimit, ...] = ()
    real_rate_block_seconds: Seconds = 300.0
    rate_headers: bool = True  # Answers tell of the limits in Ratelimit and Ratelimit-Policy.

    def change(self, members: dict[str, object]) -> None:
        """Set several members at once. msgspec.ValidationError, and no change, if one is wrong."""
        checked = msgspec.convert({**msgspec.structs.asdict(self), **members}, type(self))
        for name in members:
            setattr(self, name, getattr(checked, name))
