"""Meetings and their changes: people join and leave, sessions start and end."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4, uuid5

from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.errors import NotFound, Refusal
from recording_sandbox.model.meeting import (
    EventName,
    Meeting,
    MeetingEvent,
    Participant,
    Presence,
    Session,
)

_NAMESPACE = UUID("6f6d2a3e-54f2-4c0b-9a3c-2f7f1d2f0a11")


def participant_ids(meeting_id: str, count: int = 3) -> tuple[str, ...]:
    """The ids (`user_id`) of a meeting's first participants. They follow from the meeting's id."""
    return tuple(_derived(meeting_id, "participant", number) for number in range(1, count + 1))


class Meetings:
    """All meetings by id. Methods raise NotFound if the meeting is unknown."""

    def __init__(self, clock: Clock, behaviour: Behaviour) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._meetings: dict[str, Meeting] = {}
        self._sessions: dict[str, Session] = {}
        self.listeners: list[Callable[[MeetingEvent], None]] = []

    def create(
        self,
        meeting_id: str | None = None,
        *,
        title: str | None = None,
        participants: int | Sequence[str] = 0,
        live: bool = True,
    ) -> Meeting:
        """A new meeting with this number of participants, or with these `custom_participant_id`s.

        They join at once if it is `live`. Raises Refusal (409) if the id is taken.
        """
        meeting_id = meeting_id or str(uuid4())
        if meeting_id in self._meetings:
            raise Refusal(409, f"CONFLICT: meeting {meeting_id} exists")
        meeting = Meeting(
            id=meeting_id, title=title or f"Meeting {meeting_id[:8]}", created_at=self._clock.now()
        )
        self._meetings[meeting_id] = meeting
        if isinstance(participants, int):
            participants = [f"participant-{number}" for number in range(1, participants + 1)]
        for custom_id in participants:
            person = self.register(meeting_id, custom_id)
            if live:
                self.join(meeting_id, person.id)
        return meeting

    def begin_later(self, meeting_id: str, seconds: float) -> None:
        """Let all participants join after these seconds of sandbox time. That starts a session."""
        meeting = self._known(meeting_id)

        def begin() -> None:
            for user_id in meeting.participants:
                self.join(meeting_id, user_id)

        self._clock.at(self._clock.now() + seconds, begin)

    def all(self) -> list[Meeting]:
        """Every meeting, the oldest first."""
        return list(self._meetings.values())

    def find(self, meeting_id: str) -> Meeting | None:
        """The meeting, or None."""
        return self._meetings.get(meeting_id)

    def get(self, meeting_id: str) -> Meeting:
        """The meeting. Unless strict, an unknown one is created, live with three participants."""
        if meeting := self._meetings.get(meeting_id):
            return meeting
        if self._behaviour.strict:
            raise NotFound("meeting")
        return self.create(meeting_id, participants=3)

    def session(self, session_id: str) -> Session:
        """The session, live or ended. Raises NotFound."""
        if session := self._sessions.get(session_id):
            return session
        raise NotFound("session")

    def sessions(self) -> list[Session]:
        """Every session, the oldest first."""
        return list(self._sessions.values())

    def register(
        self,
        meeting_id: str,
        custom_participant_id: str,
        *,
        name: str | None = None,
        preset_name: str = "group_call_participant",
    ) -> Participant:
        """Allow a person to join. The person does not join by this."""
        meeting = self._known(meeting_id)
        meeting.registered += 1
        person = Participant(
            id=_derived(meeting_id, "participant", meeting.registered),
            custom_participant_id=custom_participant_id,
            name=name or custom_participant_id,
            preset_name=preset_name,
            created_at=self._clock.now(),
        )
        meeting.participants[person.id] = person
        return person

    def remove(self, meeting_id: str, user_id: str) -> None:
        """Remove the participant from the list of those who may join. A current stay continues."""
        if self._known(meeting_id).participants.pop(user_id, None) is None:
            raise NotFound("participant")

    def join(self, meeting_id: str, user_id: str, *, mute: bool = False) -> Presence:
        """Start a stay of the participant, even during another one. The first starts a session."""
        meeting = self._known(meeting_id)
        if user_id not in meeting.participants:
            raise NotFound("participant")
        session = meeting.session or self._start_session(meeting)
        meeting.joins += 1
        presence = Presence(
            peer_id=_derived(meeting_id, "peer", meeting.joins),
            participant=meeting.participants[user_id],
            joined_at=self._clock.now(),
            mute=mute,
        )
        session.presences.append(presence)
        session.max_present = max(session.max_present, len(session.present))
        if session.end_timer:
            session.end_timer.cancel()
            session.end_timer = None
        self._notify("meeting.participantJoined", meeting, session, presence)
        return presence

    def leave(self, meeting_id: str, peer_or_user_id: str) -> Presence:
        """End the stay of this `peer_id`, or the last stay of this `user_id`."""
        meeting = self._known(meeting_id)
        session = meeting.session
        for presence in reversed(session.present if session else []):
            if session and peer_or_user_id in (presence.peer_id, presence.participant.id):
                self._end_stay(meeting, session, presence)
                if not session.present:
                    self._end_if_still_empty(meeting, session)
                return presence
        raise NotFound("participant in a live session")

    def rejoin(self, meeting_id: str, user_id: str) -> Presence:
        """Leave and join again at once: the `user_id` stays, the `peer_id` is new."""
        self.leave(meeting_id, user_id)
        return self.join(meeting_id, user_id)

    def end_session(self, meeting_id: str, *, reason: str = "HOST_ENDED_MEETING") -> Session:
        """End the live session and all stays in it. Raises NotFound if there is none."""
        meeting = self._known(meeting_id)
        session = meeting.session
        if session is None:
            raise NotFound("live session")
        for presence in session.present:
            self._end_stay(meeting, session, presence)
        session.ended_at = self._clock.now()
        if session.end_timer:
            session.end_timer.cancel()
        self._notify("meeting.ended", meeting, session, reason=reason)
        return session

    def _known(self, meeting_id: str) -> Meeting:
        if meeting := self._meetings.get(meeting_id):
            return meeting
        raise NotFound("meeting")

    def _start_session(self, meeting: Meeting) -> Session:
        session = Session(
            id=_derived(meeting.id, "session", len(meeting.sessions) + 1),
            meeting_id=meeting.id,
            title=meeting.title,
            started_at=self._clock.now(),
        )
        meeting.sessions.append(session)
        self._sessions[session.id] = session
        self._notify("meeting.started", meeting, session)
        return session

    def _end_stay(self, meeting: Meeting, session: Session, presence: Presence) -> None:
        presence.left_at = self._clock.now()
        self._notify("meeting.participantLeft", meeting, session, presence)

    def _end_if_still_empty(self, meeting: Meeting, session: Session) -> None:
        def end() -> None:
            self.end_session(meeting.id, reason="ALL_PARTICIPANTS_LEFT")

        when = self._clock.now() + self._behaviour.empty_seconds
        session.end_timer = self._clock.at(when, end)

    def _notify(
        self,
        name: EventName,
        meeting: Meeting,
        session: Session,
        presence: Presence | None = None,
        reason: str | None = None,
    ) -> None:
        event = MeetingEvent(
            name=name,
            at=self._clock.now(),
            meeting=meeting,
            session=session,
            presence=presence,
            reason=reason,
        )
        for listener in self.listeners:
            listener(event)


def _derived(owner: str, kind: str, number: int) -> str:
    return str(uuid5(_NAMESPACE, f"{owner}/{kind}/{number}"))
