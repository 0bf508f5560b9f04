"""Counts the points at which a piece of work is suspended, and dies at one of them.

A coroutine is driven by hand (`send`, `throw`), so that each suspension and each resumption is
seen. Between two of them no other code of the process can run. So these are all the points at which
a crash can leave different states.
"""

import gc
import os
import signal
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

T = TypeVar("T")
Phase = Literal["asleep", "awake"]


class KillPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where to die: when the work `which` reaches `point` for the n-th time; 0 is never.

    `which` is `command/<id>`, `relay`, `sweep`, `read`, `webhook`, `archive` or `manifest`. Points
    have names and not numbers, because the number of sleeps during a connect varies.
    """

    which: str
    point: str = ""
    occurrence: int = 0


class PointsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The points that one piece of work has reached so far, in order.

    `killed`: the process killed itself at the last of them.
    """

    which: str
    points: tuple[str, ...]
    killed: bool = False


class PointTracker:
    """Notes the points of each piece of work, and kills the process at one of them.

    A command's points are counted over all its deliveries to this process, those of relay and
    sweep anew in each round. Every piece of work that is over is reported as a line of JSON at the
    end of the file `reports`.
    """

    def __init__(self, kill_at: KillPoint, reports: Path) -> None:
        self._kill_at = kill_at
        self._reports = os.open(reports, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._points: dict[str, list[str]] = {}

    def anew(self, which: str) -> None:
        """Begin to count again."""
        self._points.pop(which, None)

    async def part(self, which: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that is a part of this piece of work."""
        points = self._points.setdefault(which, [])

        def step(place: str, phase: Phase) -> None:
            point = f"{place} ({phase})"
            points.append(point)
            if self._kill_at == KillPoint(which=which, point=point, occurrence=points.count(point)):
                self._report(which, killed=True)
                os.kill(os.getpid(), signal.SIGKILL)

        return await drive(coroutine, step)

    async def whole(self, which: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that is all of this piece of work, and report it."""
        result = await self.part(which, coroutine)
        self._report(which)
        return result

    def _report(self, which: str, *, killed: bool = False) -> None:
        report = PointsReport(which=which, points=tuple(self._points[which]), killed=killed)
        os.write(self._reports, msgspec.json.encode(report) + b"\n")


def read_reports(path: Path, which: str) -> list[PointsReport]:
    """Those about this piece of work, oldest first. Idle rounds of the loops are left out."""
    text = path.read_bytes() if path.exists() else b""
    lines = text.split(b"\n")[:-1]  # what follows the last newline is being written
    found = [msgspec.json.decode(line, type=PointsReport) for line in lines]
    return [one for one in found if one.which == which and (len(one.points) > 2 or one.killed)]


@types.coroutine
def drive(
    coroutine: Coroutine[Any, Any, T], step: Callable[[str, Phase], None]
) -> Generator[Any, Any, T]:
    """Await a coroutine; call `step` with its place at each suspension and before each
    resumption."""
    resume: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            awaited = resume(value)
        except StopIteration as over:
            result: T = over.value
            return result
        place = place_of(coroutine)
        step(place, "asleep")
        try:
            value = yield awaited
            resume = coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - handed to the coroutine, as await does
            value, resume = error, coroutine.throw
        step(place, "awake")


def place_of(coroutine: Any) -> str:
    """Where a coroutine sleeps: the worker's functions from the outermost on, and the innermost."""
    path: list[str] = []
    innermost = ""
    while coroutine is not None:
        frame = _attribute(coroutine, "frame")
        if frame is not None:
            innermost = frame.f_code.co_qualname
            if frame.f_globals["__name__"].startswith("worker."):
                path.append(innermost)
        coroutine = _attribute(coroutine, "await") or _generator_behind(coroutine)
    return " > ".join(path if path[-1:] == [innermost] else [*path, innermost])


def _attribute(coroutine: Any, name: str) -> Any:
    """What coroutines, generators and asynchronous generators call each in their own way."""
    named = (f"cr_{name}", f"ag_{name}", {"frame": "gi_frame", "await": "gi_yieldfrom"}[name])
    return next((found for one in named if (found := getattr(coroutine, one, None))), None)


def _generator_behind(step: Any) -> types.AsyncGeneratorType[Any, Any] | None:
    """The asynchronous generator whose next value is awaited, if `step` is such an awaitable.

    Only the garbage collector knows it.
    """
    if type(step).__name__ != "async_generator_asend":
        return None
    behind = gc.get_referents(step)
    return next((one for one in behind if isinstance(one, types.AsyncGeneratorType)), None)
