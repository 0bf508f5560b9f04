"""Values of meetings: participants, their stays, sessions, and their changes."""

from typing import Literal

import msgspec

from recording_sandbox.model.clock import Timer

EventName = Literal[
    "meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft"
]


class Participant(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may join. The API calls `id` also `user_id`."""

    id: str
    custom_participant_id: str
    name: str
    preset_name: str
    created_at: float


class Presence(msgspec.Struct, kw_only=True):
    """One stay of a participant in a session. Each stay has a different `peer_id`.

    A `mute` stay leaves no file in a track recording.
    """

    peer_id: str
    participant: Participant
    joined_at: float
    left_at: float | None = None
    mute: bool = False


class Session(msgspec.Struct, kw_only=True):
    """One run of a meeting, from the first join until its end."""

    id: str
    meeting_id: str
    title: str
    started_at: float
    ended_at: float | None = None
    presences: list[Presence] = []
    max_present: int = 0
    end_timer: Timer | None = None

    @property
    def present(self) -> list[Presence]:
        """The stays that have not ended."""
        return [presence for presence in self.presences if presence.left_at is None]


class Meeting(msgspec.Struct, kw_only=True):
    """A meeting in which people can meet repeatedly.

    `joins` counts all joins so far, `registered` all participants, also those removed since.
    """

    id: str
    title: str
    created_at: float
    participants: dict[str, Participant] = {}
    sessions: list[Session] = []
    joins: int = 0
    registered: int = 0

    @property
    def session(self) -> Session | None:
        """The live session, or None."""
        last = self.sessions[-1] if self.sessions else None
        return last if last and last.ended_at is None else None


class MeetingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change in a meeting, for the listeners of `Meetings`: recordings and webhooks."""

    name: EventName
    at: float
    meeting: Meeting
    session: Session
    presence: Presence | None = None
    reason: str | None = None
