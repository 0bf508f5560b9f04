"""Reads the names of recording files. Pure.

A track file is called `{prefix}_{user_id}_{peer_id}_{stream_kind}_{media_kind}_{epoch ms}.webm`. In
live recordings, `_media_kind` has also been seen before the media kind. The prefix and the ids may
contain underscores themselves, so a name is never split: only its end is matched.
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
_TRACK_NAME: Final = re.compile(
    r"(?P<ids>.+)_(?P<stream>(?!kind_)[A-Za-z]+)(?:_media_kind)?_(?P<media>audio|video)"
    r"_(?P<epoch_ms>\d{13})\.[A-Za-z0-9]+",
    re.DOTALL | re.ASCII,
)


class TrackName(NamedTuple):
    """The parts of a track file's name. `ids` is `{prefix}_{user_id}_{peer_id}`."""

    ids: str
    stream_kind: str
    media: Media
    recorded_at: datetime


def track_name(name: str) -> TrackName | None:
    """The parts of the name, None if it is not the name of a track file."""
    match = _TRACK_NAME.fullmatch(name)
    if match is None:
        return None
    return TrackName(
        ids=match["ids"],
        stream_kind=match["stream"],
        media="video" if match["media"] == "video" else "audio",
        recorded_at=_EPOCH + timedelta(milliseconds=int(match["epoch_ms"])),
    )


def is_track_name(name: str) -> bool:
    """Whether it is the name of a track file, or the unexpanded template of one."""
    return "{{" in name or _TRACK_NAME.fullmatch(name) is not None


def media_of(name: str, *, otherwise: Media = "video") -> Media:
    """The media that the file name shows, `otherwise` if it shows none."""
    if parts := _TRACK_NAME.fullmatch(name):
        return "video" if parts["media"] == "video" else "audio"
    return "audio" if name.lower().endswith(AUDIO_ENDINGS) else otherwise


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
