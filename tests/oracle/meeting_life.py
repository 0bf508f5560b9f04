"""What people do in the meetings of a history: come, go, return, and record by other programs."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.oracle.truth import Kind, Meeting
from tests.oracle.world import World

ALIKE_SECONDS: Final = 5.0
"""Longer than a worker looks for the recording of a lost answer (WORKER_RECONCILE_SECONDS)."""


@dataclass
class MeetingLife:
    """Acts until it is cancelled."""

    dice: random.Random
    world: World
    apps: Sequence[str]

    def open(self) -> None:
        """Some meetings, most of them live."""
        for _ in range(self.dice.choice((2, 3, 4))):
            meeting = self.world.add_meeting(
                self.dice.choice(self.apps), self.dice.choice((1, 1, 2, 2, 3, 3, 5, 5, 23))
            )
            if self.dice.random() < 0.7:
                self.world.begin_session(meeting)

    async def live_on(self) -> None:
        """One act after the other."""
        while True:
            await asyncio.sleep(self.dice.uniform(0.2, 1.0))
            self._act(self.dice.choice(list(self.world.truth.meetings.values())))

    def close(self) -> None:
        """End every session, and with it every recording."""
        for meeting in self.world.truth.meetings.values():
            self.world.end_session(meeting)

    def _act(self, meeting: Meeting) -> None:
        if meeting.is_live(time.time()):
            acts = (self._leave, self._join, self._join_anew, self._record, self.world.end_session)
            self.dice.choices(acts, (30, 30, 10, 15, 3))[0](meeting)
        elif meeting.began is None and self.dice.random() < 0.5:
            self.world.begin_session(meeting)

    def _leave(self, meeting: Meeting) -> None:
        self.world.leave(self.dice.choice(meeting.people))

    def _join(self, meeting: Meeting) -> None:
        person = self.dice.choice(meeting.people)
        if all(stay.left is not None for stay in person.stays):
            self.world.join(person)

    def _join_anew(self, meeting: Meeting) -> None:
        self.world.join(self.world.add_person(meeting))

    def _record(self, meeting: Meeting) -> None:
        """Another program starts a recording.

        Not soon after a start of the worker: if its answer is lost, it cannot tell them apart.
        """
        kind: Kind = self.dice.choice(("track", "composite"))
        since = time.time() - ALIKE_SECONDS
        for request in reversed(self.world.truth.requests):
            if request.at < since:
                break
            if request.operation == f"start_{kind}" and request.body["meeting_id"] == meeting.id:
                return
        body = {"meeting_id": meeting.id}
        if kind == "composite":
            body["file_name_prefix"] = "other"
        self.world.start(meeting, kind, body, by_worker=False)
