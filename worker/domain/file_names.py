"""Reads the names of recording files. Pure.

A track file is called `{prefix}_{user_id}_{peer_id}_{stream_kind}_{media_kind}_{epoch ms}.webm`. In
live recordings, `_media_kind` has also been seen before the media kind, and other forms of time.
The prefix and the ids may contain underscores, so a name is never split. Only its end is matched,
or the part behind known ids.

A composite's prefix may end like the name of a track, so these functions are only for files of
tracks.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from recording_schemas import Media
from recording_schemas.values import UUID_PATTERN

AUDIO_ENDINGS: Final = (".mp3", ".m4a", ".aac", ".wav", ".ogg", ".opus", ".oga", ".flac")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDS_IN_UUID: Final = re.compile(rf"(?:^|.*_)({UUID_PATTERN})", re.DOTALL)
_UUID_PAIR: Final = re.compile(rf"(?:.*_)?({UUID_PATTERN})_({UUID_PATTERN})[_.].*", re.DOTALL)
_TEMPLATE: Final = re.compile(r"\{\{\s*(?:user_id|peer_id|stream_kind|media_kind)\s*\}\}")
_ENDS_LIKE_A_TRACK: Final = re.compile(r".*_(?:audio|video)_\d[\w:.+-]*", re.DOTALL | re.ASCII)
_TAIL: Final = re.compile(
    r"(?P<stream>[A-Za-z]+(?:[_-][A-Za-z]+)*?)(?:_media_kind)?_(?P<media>audio|video)"
    r"_(?P<time>\d{4}-\d\d-\d\d[T_ ][\d:.-]+Z?|\d{8}T\d{6}Z?|\d+)?(?:\b|_).*",
    re.DOTALL | re.ASCII,
)
_TRACK_NAME: Final = re.compile(
    r"(?P<ids>.+)_(?P<stream>(?!kind_)[A-Za-z]+)(?:_media_kind)?_(?P<media>audio|video)"
    r"_(?P<epoch_ms>\d{13})\.[A-Za-z0-9]+",
    re.DOTALL | re.ASCII,
)


class TrackName(NamedTuple):
    """The parts of a track file's name. `ids` is `{prefix}_{user_id}_{peer_id}`, empty if the parts
    were read behind known ids."""

    ids: str
    stream_kind: str
    media: Media
    recorded_at: datetime | None


def track_name(name: str) -> TrackName | None:
    """The parts of the name. None if it is not the name of a track file."""
    match = _TRACK_NAME.fullmatch(name)
    if match is None:
        return None
    return TrackName(
        ids=match["ids"],
        stream_kind=match["stream"],
        media="video" if match["media"] == "video" else "audio",
        recorded_at=_EPOCH + timedelta(milliseconds=int(match["epoch_ms"])),
    )


def track_name_after(name: str, user_id: str, peer_id: str) -> TrackName | None:
    """The parts of a track file's name behind the known ids of its owner, in any known form.
    None if the name does not contain the ids, or no form fits."""
    _, found, tail = name.rpartition(f"{user_id}_{peer_id}_")
    match = _TAIL.fullmatch(tail) if found else None
    if match is None:
        return None
    return TrackName(
        ids="",
        stream_kind=match["stream"],
        media="video" if match["media"] == "video" else "audio",
        recorded_at=time_in_name(match["time"] or ""),
    )


def is_template(name: str) -> bool:
    """Whether this is the template of a track recording's file names, not yet expanded."""
    return _TEMPLATE.search(name) is not None


def ends_like_a_track(name: str) -> bool:
    """Whether the name ends like the name of a track file. A composite's prefix can do so, too."""
    return _ENDS_LIKE_A_TRACK.fullmatch(name) is not None


def uuid_pair(name: str) -> tuple[str, str] | None:
    """The last two adjacent UUIDs in the name: a user and a peer, if it is a track file's."""
    match = _UUID_PAIR.fullmatch(name)
    return (match[1], match[2]) if match else None


def media_of(name: str, *, otherwise: Media = "video") -> Media:
    """The media that the ending of the file name shows. `otherwise` if it shows none."""
    return "audio" if name.lower().endswith(AUDIO_ENDINGS) else otherwise


def time_in_name(text: str) -> datetime | None:
    """The time in a track file's name: epoch milliseconds or seconds, or ISO 8601 with any
    separators. None if it is none."""
    try:
        if text.isdigit() and len(text) in {10, 13}:
            return _EPOCH + timedelta(milliseconds=int(text) * (1 if len(text) == 13 else 1000))
        digits = re.sub(r"[^0-9]", "", text)
        if len(digits) < 14:
            return None
        fraction = digits[14:20].ljust(6, "0")
        return datetime.strptime(digits[:14] + fraction, "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
    except ValueError:
        return None


def name_in_url(url: str) -> str:
    """The last segment of the URL's path, percent-decoded. Empty if there is none."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def uuid_at_end(text: str) -> str | None:
    """The UUID at the end of the text, if it is all of it or stands behind an underscore."""
    match = _ENDS_IN_UUID.fullmatch(text)
    return match[1] if match else None


def endings(text: str) -> Iterator[str]:
    """Every end of the text that stands behind an underscore, the longest first."""
    at = text.find("_")
    while at != -1:
        yield text[at + 1 :]
        at = text.find("_", at + 1)
