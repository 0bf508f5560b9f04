"""The people in a manifest: their stays in the session, and the files of each stay. Pure.

A person is known by the participant id (`user_id`), else by the customer's own id, else by the
stay (`peer_id`). A file belongs to the stay that it names, else to the person whom it names. A file
without a certain owner belongs to no one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from recording_schemas import FileReady, ManifestParticipant, ManifestStay
from worker.domain.archive import ArchiveFile
from worker.domain.attendance import overlaps
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import Participant

_Key = tuple[Literal["user_id", "custom_id", "peer_id"], str]
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class _Person(msgspec.Struct):
    """A person while the manifest is composed."""

    user_id: str | None = None
    custom_id: str | None = None
    stays: list[Participant] = []
    files: list[FileReady] = []


def manifest_participants(
    recording: Recording,
    files: Sequence[ArchiveFile],
    participants: Sequence[Participant] | None,
) -> tuple[ManifestParticipant, ...] | None:
    """Everybody who was in the session, has a file, or was named by the start. None if unknown.

    People are in the order in which they joined; those who never did are last.
    """
    if participants is None:
        return None
    people: dict[_Key, _Person] = {}
    tracks = [row.file for row in files if recording.kind == "track"]
    _add_stays(people, _known_stays(participants, tracks))
    _add_asked_for(people, recording.start)
    _add_files(people, tracks)
    return tuple(_participant(person, recording) for person in people.values())


def _known_stays(
    participants: Sequence[Participant], tracks: Iterable[FileReady]
) -> list[Participant]:
    """Each stay once, in the order of joining. Files know their owners' stays, too."""
    of_files = (_stay_of(file) for file in tracks)
    stays = {stay.peer_id: stay for stay in of_files if stay is not None}
    stays.update({stay.peer_id: stay for stay in participants})
    return sorted(stays.values(), key=lambda stay: (stay.joined_at or _LATEST, stay.peer_id))


def _stay_of(file: FileReady) -> Participant | None:
    owner, peer_id = file.participant, _peer_id(file)
    if peer_id is None:
        return None
    return Participant(
        peer_id=peer_id,
        user_id=file.user_id or (owner.user_id if owner else None),
        custom_participant_id=file.custom_participant_id
        or (owner.custom_participant_id if owner else None),
        display_name=owner.display_name if owner else None,
        preset_name=owner.preset_name if owner else None,
        joined_at=owner.joined_at if owner else None,
        left_at=owner.left_at if owner else None,
    )


def _peer_id(file: FileReady) -> str | None:
    return file.peer_id or (file.participant.peer_id if file.participant else None)


def _add_stays(people: dict[_Key, _Person], stays: Iterable[Participant]) -> None:
    for stay in stays:
        key = _key(stay.user_id, stay.custom_participant_id) or ("peer_id", stay.peer_id)
        person = people.setdefault(key, _Person(user_id=stay.user_id))
        person.custom_id = person.custom_id or stay.custom_participant_id
        person.stays.append(stay)


def _add_asked_for(people: dict[_Key, _Person], start: StartContext | None) -> None:
    for user_id in start.user_ids if start else ():
        person = people.setdefault(("user_id", user_id), _Person(user_id=user_id))
        person.custom_id = (start and start.custom_ids.get(user_id)) or person.custom_id


def _add_files(people: dict[_Key, _Person], tracks: Iterable[FileReady]) -> None:
    owners = _Owners(people)
    for file in tracks:
        owner = owners.find(file)
        if owner is not None:
            owner.files.append(file)


class _Owners:
    """Finds the owner of a file, and adds unknown owners to `people`."""

    def __init__(self, people: dict[_Key, _Person]) -> None:
        self._people = people
        self._by_peer_id = {s.peer_id: person for person in people.values() for s in person.stays}
        self._by_custom_id: dict[str, list[_Person]] = {}
        for person in people.values():
            if person.custom_id:
                self._by_custom_id.setdefault(person.custom_id, []).append(person)

    def find(self, file: FileReady) -> _Person | None:
        """The owner of the file. None if it is not certain."""
        user_id, custom_id = file.user_id, file.custom_participant_id
        peer_id = _peer_id(file)
        if peer_id is not None:
            return self._by_peer_id[peer_id]  # `_known_stays` has the stays of all files
        if user_id:
            owner = _Person(user_id=user_id, custom_id=custom_id)
            return self._people.setdefault(("user_id", user_id), owner)
        if not custom_id:
            return None
        if custom_id not in self._by_custom_id:
            owner = self._people["custom_id", custom_id] = _Person(custom_id=custom_id)
            self._by_custom_id[custom_id] = [owner]
        found = self._by_custom_id[custom_id]
        return found[0] if len(found) == 1 else None  # several people may have one custom id


def _key(user_id: str | None, custom_id: str | None) -> _Key | None:
    if user_id:
        return "user_id", user_id
    return ("custom_id", custom_id) if custom_id else None


def _participant(person: _Person, recording: Recording) -> ManifestParticipant:
    of_stays: dict[str | None, list[str]] = {}
    for file in person.files:
        of_stays.setdefault(_peer_id(file), []).append(file.file_name)
    return ManifestParticipant(
        user_id=person.user_id,
        custom_participant_id=person.custom_id,
        display_name=next((stay.display_name for stay in person.stays if stay.display_name), None),
        preset_name=next((stay.preset_name for stay in person.stays if stay.preset_name), None),
        expected=_is_expected(person, recording),
        stays=tuple(_stay(stay, of_stays) for stay in person.stays),
        files=tuple(file.file_name for file in person.files),
    )


def _is_expected(person: _Person, recording: Recording) -> bool:
    if recording.kind != "track":
        return False
    if recording.start and recording.start.user_ids:
        return person.user_id in recording.start.user_ids
    return not person.stays or any(
        overlaps(stay, recording.started_time or recording.invoked_time, recording.stopped_time)
        for stay in person.stays
    )


def _stay(stay: Participant, files: Mapping[str | None, Sequence[str]]) -> ManifestStay:
    return ManifestStay(
        peer_id=stay.peer_id,
        joined_at=stay.joined_at,
        left_at=stay.left_at,
        files=tuple(files.get(stay.peer_id, ())),
    )
