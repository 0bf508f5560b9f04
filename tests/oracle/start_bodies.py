"""What the API's schema allows in the body of a start. The worker must send nothing else."""

import re
import uuid
from typing import Any, Final

from tests.oracle.truth import Kind

TRACK: Final = {"meeting_id", "user_ids", "layers"}
COMPOSITE: Final = {
    "meeting_id",
    "allow_multiple_recordings",
    "audio_config",
    "file_name_prefix",
    "interactive_config",
    "max_seconds",
    "realtimekit_bucket_config",
    "rtmp_out_config",
    "storage_config",
    "url",
    "video_config",
}
PREFIX: Final = re.compile(r"[-\w\s]+", re.ASCII)


def fault_of(body: Any, kind: Kind) -> str | None:
    """What is wrong with the body; None if nothing is."""
    if not isinstance(body, dict):
        return "no object"
    unknown = body.keys() - (TRACK if kind == "track" else COMPOSITE)
    if unknown:
        return f"not allowed: {sorted(unknown)}"
    try:
        uuid.UUID(body.get("meeting_id"))
    except (TypeError, ValueError, AttributeError):
        return "meeting_id is no uuid"
    return _track_fault(body) if kind == "track" else _composite_fault(body)


def _track_fault(body: dict[str, Any]) -> str | None:
    if "user_ids" in body:
        ids = body["user_ids"]
        if not isinstance(ids, list) or not 1 <= len(ids) <= 100:
            return "user_ids must have 1 to 100 items"
        if not all(isinstance(each, str) and 1 <= len(each) <= 256 for each in ids):
            return "user_ids must be texts of 1 to 256 characters"
    layers = body.get("layers", {})
    if not isinstance(layers, dict) or layers.keys() - {"default"}:
        return "only the layer default is known"
    layer = layers.get("default", {})
    if layer.keys() - {"media_kind", "file_name_prefix"}:
        return "unknown member of a layer"
    if layer.get("media_kind", "audio") != "audio":
        return "media_kind must be audio"
    return None if PREFIX.fullmatch(layer.get("file_name_prefix", "x")) else "file_name_prefix"


def _composite_fault(body: dict[str, Any]) -> str | None:
    seconds = body.get("max_seconds", 60)
    if not isinstance(seconds, int) or not 60 <= seconds <= 86_400:
        return "max_seconds must be 60 to 86400"
    audio = body.get("audio_config", {})
    if audio.get("codec", "AAC") not in {"MP3", "AAC"} or audio.keys() - {
        "codec",
        "channel",
        "export_file",
    }:
        return "audio_config"
    return None
