"""The people whom a start asks to record, among the participants of its meeting. Pure.

The API takes RealtimeKit's participant ids. If no participant has an id, it does not refuse the id:
it records no participant, and reports no error. Therefore such an id is refused here.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from worker.domain.errors import Refused

UNKNOWN: Final = "unknown_participant"

MAX_USER_IDS: Final = 100
"""The API takes at most this many participant ids in one start."""


class PeopleRefused(Refused):
    """The ids of a start do not identify participants that the API can record together.

    It is final if the participants were read after the start arrived.
    """


class NotListed(PeopleRefused):
    """None of the listed participants has the id. The API may list a new participant later."""


class MeetingParticipant(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may join any session of a meeting.

    `user_id` is RealtimeKit's participant id. `custom_participant_id` is the customer's own id.
    """

    user_id: str
    custom_participant_id: str | None


class MeetingParticipants:
    """One read of a meeting's participants, by both of their ids.

    `read_at` is when the read began. `is_whole` is false if the meeting has more participants than
    one read takes.
    """

    def __init__(
        self, participants: Iterable[MeetingParticipant], *, read_at: float, is_whole: bool
    ) -> None:
        self.read_at = read_at
        self.is_whole = is_whole
        self._custom_ids: dict[str, str | None] = {}
        self._user_ids: dict[str, list[str]] = {}
        for participant in participants:
            user_id, custom_id = participant.user_id, participant.custom_participant_id
            self._custom_ids[user_id] = custom_id
            if custom_id is not None:
                self._user_ids.setdefault(custom_id, []).append(user_id)

    def __len__(self) -> int:
        return len(self._custom_ids)

    def has_user(self, user_id: str) -> bool:
        """Whether a participant has this participant id."""
        return user_id in self._custom_ids

    def custom_id(self, user_id: str) -> str | None:
        """The customer's own id of the participant. None if it has none or is unknown."""
        return self._custom_ids.get(user_id)

    def user_ids(self, custom_id: str) -> Sequence[str]:
        """The participant ids of everybody who has this custom id."""
        return self._user_ids.get(custom_id, ())


class People(msgspec.Struct, frozen=True, kw_only=True):
    """The participants that a start records: `user_ids` for the API, each once.

    `custom_ids` has the custom id of each of them that has one, by participant id.
    """

    user_ids: tuple[str, ...] = ()
    custom_ids: dict[str, str] = {}


def people_to_record(
    known: MeetingParticipants,
    *,
    user_ids: Sequence[str],
    custom_ids: Sequence[str],
    check_user_ids: bool = True,
) -> People:
    """All people of these ids. A custom id that several participants have means all of them.

    Raises PeopleRefused: `unknown_participant` if a custom id is unknown, with `check_user_ids`
    also if a user id is unknown, and `too_many_participants` for more people than the API takes.
    """
    if check_user_ids:
        _check_user_ids(user_ids, known)
    found = dict.fromkeys(user_ids)
    for index, custom_id in enumerate(custom_ids):
        meant = known.user_ids(custom_id)
        if not meant:
            raise _unknown_custom_id(index, custom_id, known)
        found.update(dict.fromkeys(meant))
    if len(found) > MAX_USER_IDS:
        raise PeopleRefused(
            "too_many_participants",
            f"the ids mean {len(found)} different participants; the API takes at most "
            f"{MAX_USER_IDS}",
            field="custom_participant_ids" if custom_ids else "user_ids",
        )
    named = {user_id: known.custom_id(user_id) for user_id in found}
    return People(
        user_ids=tuple(found),
        custom_ids={user_id: name for user_id, name in named.items() if name is not None},
    )


def _check_user_ids(user_ids: Sequence[str], known: MeetingParticipants) -> None:
    for index, user_id in enumerate(user_ids):
        if known.has_user(user_id):
            continue
        field = f"user_ids[{index}]"
        if known.user_ids(user_id):
            raise PeopleRefused(
                UNKNOWN,
                f"`{field}` is {user_id!r}, a custom participant id: give it in"
                " `custom_participant_ids`, because `user_ids` takes RealtimeKit's participant ids",
                field=field,
            )
        if known.is_whole:
            raise _unknown(field, user_id, known)


def _unknown_custom_id(index: int, custom_id: str, known: MeetingParticipants) -> PeopleRefused:
    field = f"custom_participant_ids[{index}]"
    if not known.has_user(custom_id):
        return _unknown(field, custom_id, known)
    return PeopleRefused(
        UNKNOWN,
        f"`{field}` is {custom_id!r}, a participant id of RealtimeKit: give it in `user_ids`,"
        " because `custom_participant_ids` takes your own ids",
        field=field,
    )


def _unknown(field: str, person_id: str, known: MeetingParticipants) -> NotListed:
    whose = "participants" if known.is_whole else f"first {len(known)} participants"
    text = f"`{field}` is {person_id!r}, and none of the meeting's {whose} has it"
    return NotListed(UNKNOWN, text, field=field)
