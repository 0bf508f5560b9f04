"""From the files the API lists for a recording to files with an owner. Pure.

A track file is called `{prefix}_{user_id}_{peer_id}_{stream_kind}_{media_kind}_{epoch ms}.webm`;
live ones have also been seen with `_media_kind` before the media kind. Prefix and ids may
themselves hold underscores, so a name is never split: its end is matched, and what stands before
it is compared with what is known. Only ids of the UUID form are recognised without being known.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from recording_schemas import Media
from worker.domain.snapshot import FoundFile, Participant

T = TypeVar("T")

AUDIO_ENDINGS = (".mp3", ".m4a", ".aac", ".wav", ".ogg", ".opus", ".oga", ".flac")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ENDS_IN_UUID = re.compile(rf"(?:^|.*_)({_UUID})", re.DOTALL)
_TRACK_NAME = re.compile(
    r"(?P<ids>.+)_(?P<stream>(?!kind_)[A-Za-z]+)(?:_media_kind)?_(?P<media>audio|video)"
    r"_(?P<epoch_ms>\d{13})\.[A-Za-z0-9]+",
    re.DOTALL | re.ASCII,
)


class TrackFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with all that can be told about its owner; what cannot be told is None.

    `custom_participant_id` comes from the payload or the session's participants, never from the
    name. `recorded_at` is the aware time in the file's name.
    """

    file_name: str
    media_kind: Media
    layer: str | None = None
    stream_kind: str | None = None
    user_id: str | None = None
    peer_id: str | None = None
    custom_participant_id: str | None = None
    recorded_at: datetime | None = None
    download_url: str | None = None


class _Owner(NamedTuple):
    user_id: str | None
    peer_id: str | None


_NOBODY = _Owner(None, None)


def found_files(download_url: object, output_file_name: str | None) -> tuple[FoundFile, ...]:
    """The files in any of the shapes the API gives `download_url`, decoded from JSON.

    Null, one URL, a list of layers, or an object whose `links` is such a list; each layer maps
    file names to `{"download_url": …}` or plainly to a URL. The file of a single URL is called
    `output_file_name`, or as its URL ends when that is missing or a template. What has another
    shape is passed over, and so is a file without a URL: it is not there to be fetched yet.
    """
    if isinstance(download_url, str):
        return (_only_file(download_url, output_file_name),) if download_url else ()
    if isinstance(download_url, dict):
        download_url = download_url.get("links")
    layers = download_url if isinstance(download_url, list) else []
    # A dict, for a file that is listed twice is still one file.
    return tuple(dict.fromkeys(file for layer in layers for file in _files_of_layer(layer)))


def _only_file(url: str, output_file_name: str | None) -> FoundFile:
    plain = output_file_name if output_file_name and "{{" not in output_file_name else None
    name = plain or name_in_url(url) or "recording"
    return FoundFile(name=name, media=media_of(name), download_url=url)


def _files_of_layer(layer: object) -> Iterator[FoundFile]:
    urls = layer.get("download_urls") if isinstance(layer, dict) else None
    if not isinstance(layer, dict) or not isinstance(urls, dict):
        return
    for name, entry in urls.items():
        members = entry if isinstance(entry, dict) else {"download_url": entry}
        if url := _text(members.get("download_url")):
            yield FoundFile(
                name=name,
                media=media_of(name, otherwise="audio"),
                layer=_text(layer.get("layer_name")),
                download_url=url,
                peer_id=_text(members.get("peer_id")),
                custom_participant_id=_text(members.get("custom_participant_id")),
            )


def is_track_name(name: str) -> bool:
    """Whether `name` is that of a track file, or the unexpanded template of one."""
    return "{{" in name or _TRACK_NAME.fullmatch(name) is not None


def media_of(name: str, *, otherwise: Media = "video") -> Media:
    """`audio` or `video`, as the file name says; `otherwise` when it says nothing."""
    if parts := _TRACK_NAME.fullmatch(name):
        return "video" if parts["media"] == "video" else "audio"
    return "audio" if name.lower().endswith(AUDIO_ENDINGS) else otherwise


def name_in_url(url: str) -> str:
    """The last segment of the URL's path, percent-decoded; empty when there is none."""
    try:
        return unquote(urlsplit(url).path).rpartition("/")[2]
    except ValueError:
        return ""


def owned_files(
    found: Sequence[FoundFile],
    *,
    prefixes: Sequence[str],
    user_ids: Sequence[str],
    participants: Sequence[Participant],
) -> tuple[TrackFile, ...]:
    """Every file of `found` with its owner, in order of recording, then of name.

    `prefixes` are the file name prefixes the recording may have (`default` when its command named
    none), `user_ids` the ids of its start command, `participants` those of its session. Where two
    owners explain a name equally well, it tells neither.
    """
    names = _Names(prefixes, user_ids, participants)
    files = (_owned(file, names) for file in found)
    latest = datetime.max.replace(tzinfo=UTC)
    return tuple(
        sorted(
            files,
            key=lambda file: (file.recorded_at or latest, file.file_name, file.layer or ""),
        )
    )


def _owned(file: FoundFile, names: "_Names") -> TrackFile:
    parts = _TRACK_NAME.fullmatch(file.name)
    owner = names.owner(parts["ids"] if parts else "", file.peer_id)
    return TrackFile(
        file_name=file.name,
        media_kind=media_of(file.name, otherwise=file.media),
        layer=file.layer,
        stream_kind=parts["stream"] if parts else None,
        user_id=owner.user_id,
        peer_id=owner.peer_id,
        custom_participant_id=file.custom_participant_id or names.custom_id(owner),
        recorded_at=_EPOCH + timedelta(milliseconds=int(parts["epoch_ms"])) if parts else None,
        download_url=file.download_url,
    )


class _Names:
    """What is known, so arranged that a piece of a file name can be looked up in it."""

    def __init__(
        self, prefixes: Sequence[str], user_ids: Sequence[str], participants: Sequence[Participant]
    ) -> None:
        self._prefixes = tuple(dict.fromkeys(f"{prefix}_" for prefix in prefixes))
        self._wanted = frozenset(user_ids)
        self._by_peer: dict[str, list[Participant]] = {}
        self._by_user: dict[str, list[Participant]] = {}
        self._by_both: dict[str, list[Participant]] = {}
        for row in participants:
            self._by_peer.setdefault(row.peer_id, []).append(row)
            if row.user_id is not None:
                self._by_user.setdefault(row.user_id, []).append(row)
                self._by_both.setdefault(f"{row.user_id}_{row.peer_id}", []).append(row)

    def owner(self, ids: str, peer_id: str | None) -> _Owner:
        """Who stands in `ids`, i.e. `{prefix}_{user_id}_{peer_id}`; surest evidence first."""
        if peer_id is not None:
            return self._owner_with_peer(ids, peer_id)
        rows = [row for rest in self._without_prefix(ids) for row in self._by_both.get(rest, ())]
        if not rows:
            rows = [row for end in _ends(ids) for row in self._by_both.get(end, ())]
        if rows:
            return _agreed_owner(_Owner(row.user_id, row.peer_id) for row in rows)
        if match := _ENDS_IN_UUID.fullmatch(ids):
            return self._owner_with_peer(ids, match[1])
        return self._owner_on_the_list(ids)

    def custom_id(self, owner: _Owner) -> str | None:
        """The customer's own id: the peer's, else that on which all rows of the user agree."""
        rows = self._by_peer.get(owner.peer_id or "", ())
        return _agreed(row.custom_participant_id for row in rows) or _agreed(
            row.custom_participant_id for row in self._by_user.get(owner.user_id or "", ())
        )

    def _owner_with_peer(self, ids: str, peer_id: str) -> _Owner:
        rows = self._by_peer.get(peer_id, ())
        user_id = _agreed(row.user_id for row in rows)
        if user_id is None and ids.endswith(f"_{peer_id}"):
            user_id = self._user_at_end(ids.removesuffix(f"_{peer_id}"))
        return _Owner(user_id, peer_id)

    def _user_at_end(self, front: str) -> str | None:
        """The user in `front`, i.e. `{prefix}_{user_id}`."""
        rests = list(self._without_prefix(front))
        known = [rest for rest in rests if self._knows(rest)]
        if known:
            return _agreed(known)
        match = _ENDS_IN_UUID.fullmatch(front)
        if match is None:
            # Nobody but the listed users is recorded, so another name is a prefix misread.
            return None if self._wanted else _agreed(rests)
        # Words between a known prefix and an unknown UUID may belong to either.
        sure = not rests or match[1] in rests or self._knows(match[1])
        return match[1] if sure else None

    def _knows(self, user_id: str) -> bool:
        return user_id in self._wanted or user_id in self._by_user

    def _owner_on_the_list(self, ids: str) -> _Owner:
        return _agreed_owner(
            _Owner(user_id, rest.removeprefix(f"{user_id}_"))
            for rest in self._without_prefix(ids)
            for user_id in self._wanted
            if rest.startswith(f"{user_id}_")
        )

    def _without_prefix(self, text: str) -> Iterator[str]:
        for prefix in self._prefixes:
            if text.startswith(prefix):
                yield text.removeprefix(prefix)


def _ends(text: str) -> Iterator[str]:
    """Every end of `text` that stands after an underscore."""
    at = text.find("_")
    while at != -1:
        yield text[at + 1 :]
        at = text.find("_", at + 1)


def _agreed_owner(owners: Iterable[_Owner]) -> _Owner:
    distinct = set(owners)
    if not distinct:
        return _NOBODY
    return _Owner(
        _agreed(owner.user_id for owner in distinct), _agreed(owner.peer_id for owner in distinct)
    )


def _agreed(values: Iterable[T]) -> T | None:
    """The one value all of `values` have; None when they differ or there are none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
