"""What is known of a history when it has ended. The checks read nothing else."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from tests.oracle.truth import Truth

Json = dict[str, Any]

STARTS: Final = ("start_track_recording", "start_recording")
CONTROLS: Final = ("stop_recording", "pause_recording", "resume_recording")


@dataclass(frozen=True)
class Sent:
    """A message to the commands exchange, confirmed by the broker."""

    at: float
    id: str
    body: bytes
    command: Json | None
    """The command; None if the message is none."""
    is_right: bool = True
    """Whether the command is one by the contract, though its effect may be refused."""
    correlation_id: str | None = None
    reply_to: str | None = None

    @property
    def type(self) -> str | None:
        """The type of the command."""
        return None if self.command is None else self.command.get("type")


@dataclass(frozen=True)
class Received:
    """A message from one of the exchanges, or a reply (whose exchange is empty)."""

    at: float
    exchange: str
    routing_key: str
    body: bytes
    message_id: str | None = None
    type: str | None = None
    correlation_id: str | None = None
    content_type: str | None = None
    is_persistent: bool = True
    has_timestamp: bool = True
    queue: str = ""

    @cached_property
    def event(self) -> Json:
        """The CloudEvent; empty if it cannot be read."""
        try:
            event = json.loads(self.body)
        except ValueError:
            return {}
        return event if isinstance(event, dict) else {}

    @property
    def data(self) -> Json:
        """Its data."""
        found = self.event.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def kind(self) -> str:
        """The type of the event."""
        return str(self.event.get("type"))

    @property
    def id(self) -> str:
        """The id of the event."""
        return str(self.event.get("id"))


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue."""

    body: bytes
    headers: Json


@dataclass(frozen=True)
class Absence:
    """A replica did not run normally from `begin` to `end`."""

    replica: int
    begin: float
    end: float


@dataclass
class Limits:
    """The settings of the workers, as far as the checks need them. Times are seconds."""

    budget: tuple[tuple[int, float], ...] = ()
    max_age: float = 3600.0
    stop_wait: float = 300.0
    session_wait: float = 86_400.0
    invoked_timeout: float = 120.0
    reconcile: float = 30.0
    list_lag: float = 0.0
    follows_all: bool = False
    exchange_prefix: str = "recording"


@dataclass
class Evidence:
    """Everything that was sent, received, asked and true."""

    truth: Truth = field(default_factory=Truth)
    sent: list[Sent] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    replies: list[Received] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    began: float = 0.0
    calm_from: float = 0.0
    """From then on nothing was broken any more."""
    longest_stall: float = 0.0
    """For how long at most the stand-in itself did nothing, because the machine was busy."""
    left_in_queues: int = 0
    never_ready: list[int] = field(default_factory=list)
    """Replicas that were not ready although nothing went wrong any more."""

    def commands(self) -> dict[str, list[Sent]]:
        """The messages of each command id, in the order in which they were sent."""
        by_id: dict[str, list[Sent]] = {}
        for sent in self.sent:
            by_id.setdefault(sent.id, []).append(sent)
        return by_id

    def outcomes(self) -> dict[str, Received]:
        """The first outcome event of each command id."""
        found: dict[str, Received] = {}
        for message in self.received:
            if message.kind.startswith("command."):
                found.setdefault(str(message.data.get("command_id")), message)
        return found

    def events(self) -> dict[str, list[Received]]:
        """The first deliveries of the events of each recording, in order of arrival."""
        found: dict[str, dict[str, Received]] = {}
        for message in self.received:
            if message.kind.startswith("recording."):
                found.setdefault(str(message.event.get("subject")), {}).setdefault(
                    message.id, message
                )
        return {recording: list(events.values()) for recording, events in found.items()}
