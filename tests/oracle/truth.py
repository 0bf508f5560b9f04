"""What really exists at the stand-in for the API. Times are seconds since the epoch."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["track", "composite"]

LIVE: Final = ("INVOKED", "RECORDING", "PAUSED", "UPLOADING")
ENDED: Final = ("UPLOADED", "ERRORED")


@dataclass
class Stay:
    """One connection (peer) of a person to a session."""

    peer_id: str
    joined: float
    left: float | None = None


@dataclass
class Person:
    """A participant of a meeting. A person with two stays has two files in a track recording."""

    user_id: str
    custom_id: str
    name: str
    stays: list[Stay] = field(default_factory=list)
    created: float = 0.0
    silent: bool = False
    """Whether their stays have no file, as of people who never spoke."""


@dataclass
class Meeting:
    """A meeting with at most one session."""

    id: str
    app: str
    session_id: str
    people: list[Person]
    began: float | None = None
    ended: float | None = None

    def is_live(self, at: float) -> bool:
        """Whether its session has begun and not ended."""
        return (
            self.began is not None and self.began <= at and (self.ended is None or at < self.ended)
        )


@dataclass(frozen=True)
class Change:
    """From this time on the recording has this status."""

    at: float
    status: str


@dataclass
class RecordedFile:
    """A file. Answers name it from `shown_from` on, and have its URL from `url_from` on."""

    name: str
    media: str
    shown_from: float
    url_from: float
    user_id: str | None = None
    peer_id: str | None = None
    custom_id: str | None = None


@dataclass
class Recording:
    """A recording that was really started."""

    id: str
    app: str
    meeting: Meeting
    kind: Kind
    body: dict[str, Any]
    by_worker: bool
    changes: list[Change]
    files: list[RecordedFile] = field(default_factory=list)
    stop_reason: str | None = None
    hidden: tuple[float, float] = (0.0, 0.0)
    """Between these times no answer shows it, as if it did not exist."""

    def is_hidden(self, at: float) -> bool:
        """Whether no answer shows it at that time."""
        return self.hidden[0] <= at < self.hidden[1]

    def status_at(self, at: float) -> str | None:
        """Its status at that time; None before it began."""
        statuses = [change.status for change in self.changes if change.at <= at]
        return statuses[-1] if statuses else None

    @property
    def status(self) -> str:
        """Its latest status."""
        return self.changes[-1].status

    @property
    def began(self) -> float:
        """When it was created."""
        return self.changes[0].at

    def first(self, *statuses: str) -> float | None:
        """When it first had one of these statuses."""
        return next((change.at for change in self.changes if change.status in statuses), None)


@dataclass
class Request:
    """One request of a worker, and what became of it."""

    at: float
    replica: int
    app: str
    operation: str
    target: str | None
    """The recording or meeting that it names."""
    body: Any = None
    query: str = ""
    executed: bool = False
    """Whether it reached the product; a start or a stop then took effect, if it was not refused."""
    fault: str | None = None
    status: int | None = None
    """The status of the answer; None if the connection was cut instead."""
    done: float | None = None
    shown: list[tuple[str, str]] = field(default_factory=list)
    """The recordings that the answer showed, with their statuses."""
    effect: str | None = None
    """The recording that the request started, stopped, paused or resumed."""
    retry_after: float | None = None


@dataclass(frozen=True)
class Delivery:
    """One webhook, and the status that the worker answered; None without an answer."""

    at: float
    replica: int
    recording: str | None
    status: str | None
    forged: bool
    answer: int | None


@dataclass
class Truth:
    """Everything that exists, and everything that was asked."""

    meetings: dict[str, Meeting] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)

    def of_worker(self) -> list[Recording]:
        """The recordings that a worker started."""
        return [recording for recording in self.recordings.values() if recording.by_worker]
