"""What goes wrong with a request, before or after the API has executed it."""

import random
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.oracle.answers import Answer, gateway, refusal
from tests.oracle.behaviour import Behaviour

Condition = Literal["unauthorized", "forbidden", "throttled", "down", "silent"]

SLOW_SECONDS: Final = (0.1, 0.5)
LATE_SECONDS: Final = (1.1, 1.6)
"""Longer than the worker waits in these histories (WORKER_API_TIMEOUT_SECONDS)."""


@dataclass(frozen=True)
class Fault:
    """Whether the request is executed, how long its answer takes, and what becomes of the answer.

    `answer` replaces that of the API. `cut` ends the connection: before the answer, or within it.
    """

    name: str
    executes: bool = True
    seconds: float = 0.0
    answer: Answer | None = None
    cut: Literal["before", "within"] | None = None
    garbled: bool = False


@dataclass
class RequestFaults:
    """Draws the fault of each request. A condition holds for all requests for a while."""

    behaviour: Behaviour
    dice: random.Random
    calm: bool = False
    _conditions: dict[Condition, float] = field(default_factory=dict)

    def set_condition(self, condition: Condition, seconds: float) -> None:
        """Let it hold for so long."""
        self._conditions[condition] = time.time() + seconds

    def draw(self) -> Fault | None:
        """The fault of the next request; None in most cases."""
        if self.calm:
            return None
        for condition, until in self._conditions.items():
            if time.time() < until:
                return self._conditional(condition, until)
        if self.dice.random() < self.behaviour.trouble:
            return self._single()
        return None

    def _conditional(self, condition: Condition, until: float) -> Fault:
        if condition == "silent":
            return Fault("silent", executes=False, seconds=1.5, cut="before")
        if condition == "throttled":
            left = max(until - time.time(), 0.05)
            pause = None if self.behaviour.retry_after is None else left
            answer = gateway(429, 971, "Please wait and consider throttling", pause)
            return Fault("throttled", executes=False, answer=answer)
        answers = {
            "unauthorized": self.dice.choice(
                (
                    Answer(401, {"message": "Unauthorized"}),
                    gateway(401, 10_000, "Authentication error"),
                )
            ),
            "forbidden": gateway(403, 10_000, "Forbidden"),
            "down": Answer(self.dice.choice((500, 502, 503)), "<html>bad gateway</html>"),
        }
        return Fault(condition, executes=False, answer=answers[condition])

    def _single(self) -> Fault:
        slow, late = self.dice.uniform(*SLOW_SECONDS), self.dice.uniform(*LATE_SECONDS)
        pause = self.behaviour.retry_after
        return self.dice.choice(
            (
                Fault("lost", cut="before"),
                Fault("half", cut="within"),
                Fault("late", seconds=late),
                Fault("slow", seconds=slow),
                Fault("502 after execution", answer=Answer(502, "<html>bad gateway</html>")),
                Fault("unreadable", garbled=True),
                Fault("reset", executes=False, cut="before"),
                Fault("503", executes=False, answer=Answer(503, "<html>busy</html>")),
                Fault("500", executes=False, answer=refusal(500, "internal error")),
                Fault("capacity", executes=False, answer=refusal(429, "Maximum reached", pause)),
                Fault(
                    "gateway 429",
                    executes=False,
                    answer=gateway(429, 971, "Please wait", pause),
                ),
            )
        )
