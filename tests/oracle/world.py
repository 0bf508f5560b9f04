"""How meetings and recordings change: by requests, by themselves, and by the end of a session."""

import asyncio
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from tests.oracle.behaviour import Behaviour
from tests.oracle.recorded_files import files_of
from tests.oracle.truth import Change, Kind, Meeting, Person, Recording, Stay, Truth

LATE_START_SECONDS: Final = 8.0

OnChange = Callable[[Recording], None]


class World:
    """Changes the truth, now or by timers of the loop. `on_change` gets each changed recording."""

    def __init__(self, behaviour: Behaviour, dice: random.Random, on_change: OnChange) -> None:
        self.truth = Truth()
        self.on_session_begin: Callable[[Meeting], None] = lambda _meeting: None
        self._behaviour = behaviour
        self._dice = dice
        self._on_change = on_change
        self._timers: list[asyncio.TimerHandle] = []

    def close(self) -> None:
        """Let nothing change by itself any more."""
        for timer in self._timers:
            timer.cancel()

    def later(self, seconds: float, act: Callable[..., object], *arguments: Any) -> None:
        """Do it in about so many seconds."""
        delay = seconds * self._dice.uniform(0.5, 1.5)
        self._timers.append(asyncio.get_running_loop().call_later(delay, act, *arguments))

    def add_meeting(self, app: str, people: int) -> Meeting:
        """A meeting whose session has not begun."""
        meeting = Meeting(
            self._uuid(), app, self._uuid(), [self._person(number) for number in range(people)]
        )
        self.truth.meetings[meeting.id] = meeting
        return meeting

    def add_person(self, meeting: Meeting) -> Person:
        """One more participant, who has not joined."""
        person = self._person(len(meeting.people))
        person.created = time.time()
        meeting.people.append(person)
        return person

    def begin_session(self, meeting: Meeting) -> None:
        """The session begins, and most people join."""
        meeting.began = time.time()
        for person in meeting.people:
            if self._dice.random() < 0.8:
                self.join(person)
        self.on_session_begin(meeting)

    def end_session(self, meeting: Meeting) -> None:
        """Everybody leaves, and every recording of the meeting stops."""
        if not meeting.is_live(time.time()):
            return
        for person in meeting.people:
            self.leave(person)
        meeting.ended = time.time()
        for recording in self.truth.recordings.values():
            if recording.meeting is meeting:
                self.stop(recording, "ALL_PEERS_LEFT")

    def join(self, person: Person) -> None:
        """A new stay of somebody."""
        person.stays.append(Stay(self._uuid(), time.time()))

    def leave(self, person: Person) -> None:
        """The end of their stays."""
        for stay in person.stays:
            stay.left = stay.left or time.time()

    def start(
        self, meeting: Meeting, kind: Kind, body: dict[str, Any], *, by_worker: bool
    ) -> Recording:
        """A new recording, INVOKED."""
        first = Change(time.time(), "INVOKED")
        recording = Recording(self._uuid(), meeting.app, meeting, kind, body, by_worker, [first])
        self.truth.recordings[recording.id] = recording
        self._on_change(recording)
        fate = self._dice.random()
        if fate < self._behaviour.zombie_chance:
            return recording
        seconds = self._behaviour.start_seconds
        if self._dice.random() < self._behaviour.late_start_chance:
            seconds = LATE_START_SECONDS
        if self._dice.random() < self._behaviour.hidden_chance:
            begin = time.time() + self._dice.uniform(4.0, 8.0)
            recording.hidden = begin, begin + self._dice.uniform(0.5, 5.0)
        if fate < self._behaviour.zombie_chance + self._behaviour.error_chance:
            self.later(seconds, self._change, recording, "ERRORED")
        else:
            self.later(seconds, self._record, recording)
        return recording

    def stop(self, recording: Recording, reason: str) -> None:
        """Stop it if it records. One that is INVOKED stops as soon as it records."""
        recording.stop_reason = recording.stop_reason or reason
        if recording.status not in {"RECORDING", "PAUSED"}:
            return
        if not self._behaviour.skips:
            self._change(recording, "UPLOADING")
            self.later(self._behaviour.upload_seconds, self._upload, recording)
        else:
            self._upload(recording)

    def pause(self, recording: Recording) -> None:
        """Pause it, if it records."""
        if recording.status == "RECORDING":
            self._change(recording, "PAUSED")

    def resume(self, recording: Recording) -> None:
        """Let it record again, if it is paused."""
        if recording.status == "PAUSED":
            self._change(recording, "RECORDING")

    def _record(self, recording: Recording) -> None:
        if recording.status == "INVOKED":
            self._change(recording, "RECORDING")
            if recording.stop_reason is not None:
                self.stop(recording, recording.stop_reason)

    def _upload(self, recording: Recording) -> None:
        recording.files = files_of(recording, self._behaviour.files_spread, self._dice)
        self._change(recording, "UPLOADED")

    def _change(self, recording: Recording, status: str) -> None:
        recording.changes.append(Change(time.time(), status))
        self._on_change(recording)

    def _person(self, number: int) -> Person:
        custom = f"person-{number}-{self._dice.randrange(10**6)}"
        return Person(self._uuid(), custom, f"Person {number}", silent=self._dice.random() < 0.15)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
