"""Finds out whether a recording has tracks or is a composite, if the API does not say so."""

from typing import Final, NamedTuple

from recording_schemas import Kind
from worker.domain.file_names import ends_like_a_track, is_template, name_in_url, uuid_pair
from worker.realtimekit.decoding.fields import text

_KINDS: Final[dict[str, Kind]] = {
    "TRACK": "track",
    "COMPOSITE": "composite",
    "BROWSER": "composite",
}
_COMPOSITE_ENDINGS: Final = (".mp4", ".mkv", ".mp3", ".m4a", ".aac")
"""The endings of composite files only. Files of tracks are .webm, and those of composites may be
too."""


class KindEvidence(NamedTuple):
    """The fields of a recording that may show its kind, as the API gave them."""

    type: object
    output_file_name: object
    download_url: object
    has_audio_url: bool
    has_storage: bool


class ShownKind(NamedTuple):
    """`kind` is None if nothing shows it. `is_guessed`: only the form of the file name shows it."""

    kind: Kind | None
    is_guessed: bool = False


def shown_kind(evidence: KindEvidence) -> ShownKind:
    """The kind from `type`. Lists leave that empty. Then fields decide that only one kind has.

    A composite's prefix may look like a track's name. So the form of a name decides only if nothing
    else does, and a track's name must have two UUIDs.
    """
    if (kind := _certain_kind(evidence)) is not None:
        return ShownKind(kind)
    name = text(evidence.output_file_name) or ""
    if uuid_pair(name):
        return ShownKind("track", is_guessed=True)
    if ends_like_a_track(name):
        return ShownKind("composite", is_guessed=True)
    is_composite = name.lower().endswith(".webm") or text(evidence.download_url) is not None
    return ShownKind("composite" if is_composite else None)


def _certain_kind(evidence: KindEvidence) -> Kind | None:
    if isinstance(evidence.type, str) and (kind := _KINDS.get(evidence.type.upper())):
        return kind
    name = text(evidence.output_file_name) or ""
    if is_template(name) or isinstance(evidence.download_url, dict | list):
        return "track"
    names = (name, name_in_url(text(evidence.download_url) or ""))
    has_ending = any(name.lower().endswith(_COMPOSITE_ENDINGS) for name in names)
    return "composite" if has_ending or evidence.has_audio_url or evidence.has_storage else None
