"""Finds the owner of each file. Pure.

The end of a file name has the ids of its owner, behind a prefix: `{prefix}_{user_id}_{peer_id}`.
All three may contain underscores, so the ids are compared with the known prefixes, users and
participants. An unknown id is recognised only if it is a UUID.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import msgspec

from recording_schemas import Kind, Media
from worker.domain.file_names import (
    TrackName,
    endings,
    track_name,
    track_name_after,
    uuid_at_end,
    uuid_pair,
)
from worker.domain.snapshot import FoundFile, Participant

T = TypeVar("T")

_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class TrackFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and the certain facts about its owner. A value that is not certain is None.

    `custom_participant_id` comes from the API's answer or from the session's participants, never
    from the name. `recorded_at` is the aware time in the file name. `participant` is the stay in
    the session that the file records.
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
    participant: Participant | None = None


class _Owner(NamedTuple):
    user_id: str | None
    peer_id: str | None


_NO_OWNER: Final = _Owner(None, None)


def owned_files(
    found: Sequence[FoundFile],
    *,
    kind: Kind = "track",
    prefixes: Sequence[str],
    user_ids: Sequence[str],
    participants: Sequence[Participant],
) -> tuple[TrackFile, ...]:
    """All files of `found` with their owners, in order of recording, then of name.

    Files of a composite have no owner, even if their names look like those of tracks. They keep
    their order.

    `prefixes` are the file name prefixes that the recording may have (`default` if its command gave
    none). `user_ids` are those of its start command. `participants` are those of its session. If
    two owners explain a name equally well, the file has neither.
    """
    if kind == "composite":
        return tuple(_without_owner(file) for file in found)
    index = _OwnerIndex(prefixes, user_ids, participants)
    files = (_owned(file, index) for file in found)
    return tuple(
        sorted(
            files,
            key=lambda file: (file.recorded_at or _LATEST, file.file_name, file.layer or ""),
        )
    )


def _owned(file: FoundFile, index: "_OwnerIndex") -> TrackFile:
    name = track_name(file.name)
    owner = index.owner(name.ids if name else "", file.name, file.peer_id)
    name = _read_behind_ids(file.name, owner) or name
    return TrackFile(
        file_name=file.name,
        media_kind=name.media if name else "audio",  # the API records no other tracks
        layer=file.layer,
        stream_kind=name.stream_kind if name else None,
        user_id=owner.user_id,
        peer_id=owner.peer_id,
        custom_participant_id=file.custom_participant_id or index.custom_id(owner),
        recorded_at=name.recorded_at if name else None,
        download_url=file.download_url,
        participant=index.stay(owner),
    )


def _without_owner(file: FoundFile) -> TrackFile:
    return TrackFile(
        file_name=file.name,
        media_kind=file.media,
        layer=file.layer,
        download_url=file.download_url,
    )


def _read_behind_ids(name: str, owner: _Owner) -> TrackName | None:
    if owner.user_id is None or owner.peer_id is None:
        return None
    return track_name_after(name, owner.user_id, owner.peer_id)


class _OwnerIndex:
    """The known prefixes, users and participants, arranged for look-ups by a part of a name."""

    def __init__(
        self, prefixes: Sequence[str], user_ids: Sequence[str], participants: Sequence[Participant]
    ) -> None:
        self._prefixes = tuple(dict.fromkeys(f"{prefix}_" for prefix in prefixes))
        self._requested = frozenset(user_ids)
        self._by_peer: dict[str, list[Participant]] = {}
        self._by_user: dict[str, list[Participant]] = {}
        self._by_both: dict[str, list[Participant]] = {}
        for participant in participants:
            self._by_peer.setdefault(participant.peer_id, []).append(participant)
            if participant.user_id is not None:
                ids = f"{participant.user_id}_{participant.peer_id}"
                self._by_user.setdefault(participant.user_id, []).append(participant)
                self._by_both.setdefault(ids, []).append(participant)

    def owner(self, ids: str, name: str, peer_id: str | None) -> _Owner:
        """The owner that `ids` (`{prefix}_{user_id}_{peer_id}`) name, by the surest evidence.

        If the end of the whole `name` is unusual, `ids` may be wrong.
        """
        if peer_id is not None:
            return self._owner_with_peer(ids, peer_id)
        found = [row for rest in self._without_prefix(ids) for row in self._by_both.get(rest, ())]
        if not found:
            found = [row for ending in endings(ids) for row in self._by_both.get(ending, ())]
        if found:
            return _agreed_owner(_Owner(row.user_id, row.peer_id) for row in found)
        if uuid := uuid_at_end(ids):
            return self._owner_with_peer(ids, uuid)
        return self._owner_of_pair(name) or self._requested_owner(ids)

    def custom_id(self, owner: _Owner) -> str | None:
        """The customer's own id of the peer, else the id that all stays of the user have."""
        stays = self._by_peer.get(owner.peer_id or "", ())
        return _agreed(stay.custom_participant_id for stay in stays) or _agreed(
            stay.custom_participant_id for stay in self._by_user.get(owner.user_id or "", ())
        )

    def stay(self, owner: _Owner) -> Participant | None:
        """The stay of the peer, unless the session has several, or knows it as another user's."""
        stays = self._by_peer.get(owner.peer_id or "", ())
        (stay,) = stays if len(stays) == 1 else (None,)
        is_anothers = stay is not None and owner.user_id not in {None, stay.user_id}
        return None if is_anothers else stay

    def _owner_with_peer(self, ids: str, peer_id: str) -> _Owner:
        user_id = _agreed(row.user_id for row in self._by_peer.get(peer_id, ()))
        if user_id is None and ids.endswith(f"_{peer_id}"):
            user_id = self._user_at_end(ids.removesuffix(f"_{peer_id}"))
        return _Owner(user_id, peer_id)

    def _owner_of_pair(self, name: str) -> _Owner | None:
        """The owner by two adjacent UUIDs anywhere in the name, if they are known to belong to one
        person."""
        pair = uuid_pair(name)
        if pair is None:
            return None
        user_id, peer_id = pair
        users = {row.user_id for row in self._by_peer.get(peer_id, ())} - {None}
        is_known = users == {user_id} or (not users and self._knows(user_id))
        return _Owner(user_id, peer_id) if is_known else None

    def _user_at_end(self, front: str) -> str | None:
        """The user in `front`, i.e. `{prefix}_{user_id}`."""
        rests = list(self._without_prefix(front))
        known = [rest for rest in rests if self._knows(rest)]
        if known:
            return _agreed(known)
        uuid = uuid_at_end(front)
        if uuid is None:
            # Only requested users are recorded, so another name is a misread prefix.
            return None if self._requested else _agreed(rests)
        # Words between a known prefix and an unknown UUID may belong to either.
        certain = not rests or uuid in rests or self._knows(uuid)
        return uuid if certain else None

    def _knows(self, user_id: str) -> bool:
        return user_id in self._requested or user_id in self._by_user

    def _requested_owner(self, ids: str) -> _Owner:
        return _agreed_owner(
            _Owner(user_id, rest.removeprefix(f"{user_id}_"))
            for rest in self._without_prefix(ids)
            for user_id in self._requested
            if rest.startswith(f"{user_id}_")
        )

    def _without_prefix(self, text: str) -> Iterator[str]:
        for prefix in self._prefixes:
            if text.startswith(prefix):
                yield text.removeprefix(prefix)


def _agreed_owner(owners: Iterable[_Owner]) -> _Owner:
    distinct = set(owners)
    if not distinct:
        return _NO_OWNER
    return _Owner(
        _agreed(owner.user_id for owner in distinct), _agreed(owner.peer_id for owner in distinct)
    )


def _agreed(values: Iterable[T]) -> T | None:
    """The only distinct value in `values`. None if there are several or none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
