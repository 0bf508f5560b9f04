"""Finds the people whom a track start records, before its call.

If no participant has an id, the API records no participant and reports no error. So the ids of a
start are looked up among the meeting's participants. A burst of starts shares one read of them.
Before an id is refused, they are read again: a participant may have been added since, and the list
may lag.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from msgspec import UNSET

from recording_schemas import Command, StartTrackRecording
from worker.domain.errors import Unavailable
from worker.domain.meeting_participants import (
    NotListed,
    People,
    PeopleRefused,
    people_to_record,
)
from worker.realtimekit.participant_directory import ParticipantDirectory

BURST_SECONDS: Final = 2.0
"""A command may use a read of the participants that began at most this long before its arrival."""

LIST_LAG_SECONDS: Final = 2.0
"""The API's list may lack a participant who was added less than this before the read."""


class PeopleFinder(msgspec.Struct, frozen=True, kw_only=True):
    """Finds the people of one attempt at a track start.

    arrived_at       when the delivery arrived, by the clock of the `directory`
    came_at          when the command first arrived, or was unparked, by `now`, in epoch seconds
    check_user_ids   whether to refuse an unknown participant id
    asked_before     the people whom an earlier attempt may have asked the API to record
    keep             stores the people with the command; raises LeaseLost if the claim is lost
    """

    directory: ParticipantDirectory
    arrived_at: float
    came_at: float
    now: Callable[[], float]
    check_user_ids: bool
    asked_before: People | None
    keep: Callable[[People], Awaitable[None]]

    async def find(self, command: StartTrackRecording) -> People:
        """All people whom the command names. Raises Refused and Unavailable.

        If an earlier attempt may have called, its people are used again, even if people were added
        or removed since.
        """
        if self.asked_before is not None:
            return self.asked_before
        people = await self._look_up(command)
        if command.custom_participant_ids:
            await self.keep(people)
        return people

    async def _look_up(self, command: StartTrackRecording) -> People:
        try:
            return await self._people(command, since=self.arrived_at - BURST_SECONDS)
        except PeopleRefused:
            pass  # a participant may have been added since that read
        certain_since = self._certain_since()
        is_certain = certain_since <= self.directory.now()
        since = max(self.arrived_at, certain_since) if is_certain else self.arrived_at
        try:
            return await self._people(command, since=since)
        except NotListed as missing:
            if is_certain:
                raise
            text = f"the API may not list a new participant yet: {missing.message}"
            raise Unavailable(missing.code, text) from missing

    async def _people(self, command: StartTrackRecording, *, since: float) -> People:
        known = await self.directory.participants(command.meeting_id, since=since)
        return people_to_record(
            known,
            user_ids=command.user_ids or (),
            custom_ids=command.custom_participant_ids or (),
            check_user_ids=self.check_user_ids,
        )

    def _certain_since(self) -> float:
        """A read that began at or after this time has everybody who was added before the command
        was sent."""
        age = self.now() - self.came_at
        return self.directory.now() - age + LIST_LAG_SECONDS


def names_people(command: Command, *, check_user_ids: bool) -> bool:
    """Whether the participants of the command's meeting must be read before its call."""
    if not isinstance(command, StartTrackRecording):
        return False
    names_users = check_user_ids and command.user_ids is not UNSET
    return names_users or command.custom_participant_ids is not UNSET
