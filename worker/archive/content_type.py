"""The media type of a file by its name."""

from pathlib import PurePosixPath
from typing import Final

_VIDEO: Final = {".webm": "video/webm", ".mp4": "video/mp4", ".mkv": "video/x-matroska"}
_AUDIO: Final = {
    ".webm": "audio/webm",
    ".mp4": "audio/mp4",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".aac": "audio/aac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".mka": "audio/x-matroska",
}


def content_type_of(file_name: str, media_kind: str, reported: str | None) -> str:
    """The type by name and media kind, else the source's type, else that of any bytes."""
    suffix = PurePosixPath(file_name).suffix.lower()
    first, second = (_AUDIO, _VIDEO) if media_kind == "audio" else (_VIDEO, _AUDIO)
    return first.get(suffix) or second.get(suffix) or reported or "application/octet-stream"
