"""Draws commands: right ones of every type, wrong ones, repeats, and repeats with another body."""

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from tests.oracle.evidence import STARTS, Json
from tests.oracle.truth import Meeting, Recording, Truth

CONTROL_TYPES: Final = (
    "stop_recording",
    "stop_recording",
    "stop_recording",
    "pause_recording",
    "resume_recording",
)


@dataclass(frozen=True)
class Drawn:
    """A command with its id, or a message that is none."""

    id: str
    command: Json | None
    is_right: bool = True
    body: bytes | None = None
    """The bytes to send as they are."""


def sync_of(recording: Recording, apps: Mapping[str, str | None]) -> Drawn:
    """A sync of this recording."""
    command = {"type": "sync_recording", "id": f"sync-{recording.id}", "recording_id": recording.id}
    return Drawn(command["id"], command | _app_member(apps[recording.app]))


def _app_member(name: str | None) -> Json:
    return {} if name is None else {"app": name}


@dataclass
class CommandDrawer:
    """Draws one command after the other, about what exists by then."""

    dice: random.Random
    truth: Truth
    apps: Mapping[str, str | None]
    drawn: list[Drawn] = field(default_factory=list)

    def draw(self) -> Drawn:
        """The next command."""
        weights = {
            self._start_track: 30,
            self._start_composite: 14,
            self._control: 26,
            self._sync: 7,
            self._replay: 5,
            self._repeat: 12,
            self._wrong: 5,
            self._garbage: 2,
        }
        act = self.dice.choices(list(weights), list(weights.values()))[0]
        drawn = act()
        self.drawn.append(drawn)
        return drawn

    def _start_track(self) -> Drawn:
        meeting = self._meeting()
        command = self._new("start_track_recording", meeting.app, meeting_id=meeting.id)
        people = self.dice.sample(
            meeting.people, min(self.dice.choice((1, 2)), len(meeting.people))
        )
        whom = self.dice.choice(("all", "all", "users", "customs", "stranger"))
        if whom == "users":
            command["user_ids"] = [person.user_id for person in people]
        elif whom == "customs":
            command["custom_participant_ids"] = [person.custom_id for person in people]
        elif whom == "stranger" and self.dice.random() < 0.3:
            command["user_ids"] = [str(uuid.UUID(int=self.dice.getrandbits(128)))]
        if self.dice.random() < 0.6:
            command["layers"] = {"default": {"file_name_prefix": f"p{self.dice.randrange(10**6)}"}}
        if self.dice.random() < 0.2:
            command["max_seconds"] = self.dice.choice((60, 60.0, 3600))
        return self._completed_start(command)

    def _start_composite(self) -> Drawn:
        meeting = self._meeting()
        command = self._new("start_recording", meeting.app, meeting_id=meeting.id)
        if self.dice.random() < 0.6:
            command["allow_multiple_recordings"] = True
        if self.dice.random() < 0.5:
            command["file_name_prefix"] = f"mix_{self.dice.randrange(10**6)}_audio"
        if self.dice.random() < 0.3:
            command["audio_config"] = {"export_file": self.dice.choice((True, False))}
        return self._completed_start(command)

    def _completed_start(self, command: Json) -> Drawn:
        if self.dice.random() < 0.35:
            command["wait_for_session"] = True
        if self.dice.random() < 0.5:
            command["metadata"] = {"case": str(self.dice.randrange(1000)), "ü": "½ \u4e2d"}
        if self.dice.random() < 0.2:
            self._add_deadline(command)
        return Drawn(command["id"], command)

    def _control(self) -> Drawn:
        command = {**self._new(self.dice.choice(CONTROL_TYPES), None), **self._target()}
        if self.dice.random() < 0.2:
            self._add_deadline(command)
        return Drawn(command["id"], command)

    def _target(self) -> Json:
        """What a stop, pause or resume is about."""
        by = self.dice.choice(("start", "start", "meeting", "meeting", "recording", "nobody"))
        starts = [each.command for each in self.drawn if each.command and each.is_right]
        starts = [command for command in starts if command["type"] in STARTS]
        recordings = sorted(self.truth.recordings)
        if by == "start" and starts:
            start = self.dice.choice(starts[-4:])
            return {"start_id": start["id"], **_app_member(start.get("app"))}
        if by == "recording" and recordings:
            recording = self.truth.recordings[self.dice.choice(recordings)]
            return {"recording_id": recording.id, **self._app(recording.app)}
        if by == "nobody":
            unknown = str(uuid.UUID(int=self.dice.getrandbits(128)))
            member = self.dice.choice(("start_id", "recording_id"))
            return {member: unknown, **self._app(self.dice.choice(list(self.apps)))}
        meeting = self._meeting()
        kind = self.dice.choice(("track", "composite", None, None, None))
        kinds = {} if kind is None else {"kind": kind}
        return {"meeting_id": meeting.id, **kinds, **self._app(meeting.app)}

    def _sync(self) -> Drawn:
        return self._about_recording("sync_recording")

    def _replay(self) -> Drawn:
        return self._about_recording("replay_recording")

    def _about_recording(self, kind: str) -> Drawn:
        recordings = sorted(self.truth.recordings)
        if not recordings:
            return self._start_track()
        recording = self.truth.recordings[self.dice.choice(recordings)]
        command = self._new(kind, recording.app, recording_id=recording.id)
        return Drawn(command["id"], command)

    def _repeat(self) -> Drawn:
        earlier = [each for each in self.drawn if each.command]
        if not earlier:
            return self._start_track()
        first = self.dice.choice(earlier[-6:])
        assert first.command is not None
        if self.dice.random() < 0.75:
            return first
        changed = {**first.command, "meeting_id": self._meeting().id}
        is_right = first.is_right and first.command["type"] in STARTS
        return Drawn(first.id, changed, is_right)

    def _wrong(self) -> Drawn:
        meeting = self._meeting()
        command = self._new("start_track_recording", meeting.app, meeting_id=meeting.id)
        changes: tuple[Json, ...] = (
            {"user_idz": ["x"]},
            {"meeting_id": "no-uuid"},
            {"layers": {"default": {"media_kind": "video"}}},
            {"layers": {"other": {}}},
            {"user_ids": []},
            {"max_seconds": 5},
            {"type": "start_everything"},
            {"metadata": {"n": 1}},
            {"deadline": "tomorrow"},
        )
        return Drawn(command["id"], {**command, **self.dice.choice(changes)}, is_right=False)

    def _garbage(self) -> Drawn:
        number = str(self.dice.randrange(10**9)).encode()
        body = self.dice.choice((b"{" + number, b"[" + number + b"]", b"\xff\xfe" + number, b""))
        return Drawn(f"garbage-{len(self.drawn)}", None, is_right=False, body=body or number)

    def _new(self, kind: str, app: str | None, **members: Any) -> Json:
        command_id = f"c{len(self.drawn)}-{self.dice.randrange(10**6)}"
        named = {} if app is None else self._app(app)
        return {"type": kind, "id": command_id, **members, **named}

    def _app(self, app: str) -> Json:
        return _app_member(self.apps[app])

    def _meeting(self) -> Meeting:
        return self.dice.choice(list(self.truth.meetings.values()))

    def _add_deadline(self, command: Json) -> None:
        at = datetime.fromtimestamp(time.time() + self.dice.choice((-1, 1, 3, 6)), UTC)
        command["deadline"] = at.isoformat()
