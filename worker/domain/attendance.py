"""Who was in the session while it was recorded, and who of them has no file. Pure.

A person may have several stays. Participant ids (`user_id`) identify people, or else the customer's
own ids. A file without a certain owner counts for no one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from recording_schemas import ParticipantWithoutFile
from worker.domain.recording import Recording, StartContext
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile

MAX_PEOPLE: Final = 1_000
"""An event names at most this many people without a file."""


_Key = tuple[str | None, str | None]
"""The participant id of a person, or else the customer's own id."""


class _Person(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str | None
    custom_id: str | None
    stays: tuple[Participant, ...] = ()


def was_recorded(stay: Participant, snapshot: RecordingSnapshot, known: Recording | None) -> bool:
    """Whether the stay and the recording overlap, with the times that are known.

    A recording that failed may have no time of its start. It did not start before it was invoked.
    """
    started = (
        snapshot.started_time
        or (known.started_time if known else None)
        or snapshot.invoked_time
        or (known.invoked_time if known else None)
    )
    stopped = snapshot.stopped_time or (known.stopped_time if known else None)
    return overlaps(stay, started, stopped)


def overlaps(stay: Participant, started: datetime | None, stopped: datetime | None) -> bool:
    """Whether the stay overlaps with the time between both, with the times that are known."""
    left_before = stay.left_at is not None and started is not None and stay.left_at <= started
    joined_after = stay.joined_at is not None and stopped is not None and stay.joined_at >= stopped
    return not (left_before or joined_after)


def people_without_file(
    files: Iterable[TrackFile],
    snapshot: RecordingSnapshot,
    known: Recording | None,
    participants: Sequence[Participant],
) -> tuple[ParticipantWithoutFile, ...]:
    """The people of a track recording who should have one of these `files`, and have none.

    These are the people whom the start named. If it named no people, they are the participants of
    the session while it was recorded. `participants` are all stays in the session.
    """
    present = _people_of(participants)
    start = known.start if known else None
    owners = _Owners(files)
    found = []
    for person in _asked_for(start, present) if start and start.user_ids else present.values():
        joined = any(was_recorded(stay, snapshot, known) for stay in person.stays)
        is_expected = joined or (start is not None and bool(start.user_ids))
        if is_expected and not owners.include(person):
            found.append(_without_file(person, joined=joined))
    return tuple(found[:MAX_PEOPLE])


def _without_file(person: _Person, *, joined: bool) -> ParticipantWithoutFile:
    return ParticipantWithoutFile(
        user_id=person.user_id, custom_participant_id=person.custom_id, joined=joined
    )


def _people_of(participants: Iterable[Participant]) -> dict[_Key, _Person]:
    """The people of the stays, in the order of their first stays. Stays without an id are left
    out."""
    stays: dict[_Key, list[Participant]] = {}
    for stay in participants:
        key = (stay.user_id, None if stay.user_id else stay.custom_participant_id)
        if key != (None, None):
            stays.setdefault(key, []).append(stay)
    return {
        key: _Person(
            user_id=key[0],
            custom_id=next(filter(None, (stay.custom_participant_id for stay in own)), None),
            stays=tuple(own),
        )
        for key, own in stays.items()
    }


def _asked_for(start: StartContext, present: Mapping[_Key, _Person]) -> Iterable[_Person]:
    for user_id in dict.fromkeys(start.user_ids):
        person = present.get((user_id, None))
        own_id = start.custom_ids.get(user_id) or (person.custom_id if person else None)
        yield _Person(user_id=user_id, custom_id=own_id, stays=person.stays if person else ())


class _Owners:
    """The owners of files, by each id that a file may have."""

    def __init__(self, files: Iterable[TrackFile]) -> None:
        files = tuple(files)
        self._users = {file.user_id for file in files} - {None}
        self._peers = {file.peer_id for file in files} - {None}
        # The API may name the customer's own id only.
        nameless = (file for file in files if file.user_id is None)
        self._custom_ids = {file.custom_participant_id for file in nameless} - {None}

    def include(self, person: _Person) -> bool:
        """Whether any of the files is the person's."""
        return (
            person.user_id in self._users
            or person.custom_id in self._custom_ids
            or any(stay.peer_id in self._peers for stay in person.stays)
        )
