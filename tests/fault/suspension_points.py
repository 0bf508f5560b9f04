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
from typing import Any, Final, Literal, TypeVar

import msgspec

T = TypeVar("T")
Phase = Literal["asleep", "awake"]
VARYING_MODULES: Final = frozenset({"worker.realtimekit.page_numbers"})
"""Left out of the names of points. A process calls other functions of them for its first list, and
a point must have the same name in every process."""


class KillPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where to die: when the work `work_name` reaches `point` for the n-th time; 0 is never.

    `work_name` is `command/<id>`, `relay`, `sweep`, `read`, `webhook`, `archive` or `manifest`.
    Points have names and not numbers, because the number of sleeps during a connect varies.
    """

    work_name: str
    point: str = ""
    occurrence: int = 0


class PointsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The points that one piece of work has reached so far, in order.

    `killed`: the process killed itself at the last of them.
    """

    work_name: str
    points: tuple[str, ...]
    killed: bool = False


class PointTracker:
    """Notes the points of each piece of work, and kills the process at one of them.

    A command's points are counted over all its deliveries to this process. Those of relay and
    sweep are counted again in each round. Every piece of work that is over is reported as a line of
    JSON at the end of the file `reports`.
    """

    def __init__(self, kill_at: KillPoint, reports: Path) -> None:
        self._kill_at = kill_at
        self._reports = os.open(reports, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._points: dict[str, list[str]] = {}

    def restart_count(self, work_name: str) -> None:
        """Begin to count again."""
        self._points.pop(work_name, None)

    async def run_part(self, work_name: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that is a part of this piece of work."""
        points = self._points.setdefault(work_name, [])

        def step(place: str, phase: Phase) -> None:
            point = f"{place} ({phase})"
            points.append(point)
            if self._kill_at == KillPoint(
                work_name=work_name, point=point, occurrence=points.count(point)
            ):
                self._report(work_name, killed=True)
                os.kill(os.getpid(), signal.SIGKILL)

        return await drive(coroutine, step)

    async def run_whole(self, work_name: str, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that is all of this piece of work, and report it."""
        result = await self.run_part(work_name, coroutine)
        self._report(work_name)
        return result

    def _report(self, work_name: str, *, killed: bool = False) -> None:
        report = PointsReport(
            work_name=work_name, points=tuple(self._points[work_name]), killed=killed
        )
        os.write(self._reports, msgspec.json.encode(report) + b"\n")


def read_reports(path: Path, work_name: str) -> list[PointsReport]:
    """The reports of this work, oldest first, without idle iterations of loops."""
    text = path.read_bytes() if path.exists() else b""
    lines = text.split(b"\n")[:-1]  # the part after the last newline is incomplete
    found = [msgspec.json.decode(line, type=PointsReport) for line in lines]
    return [
        report
        for report in found
        if report.work_name == work_name and (len(report.points) > 2 or report.killed)
    ]


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
            module = frame.f_globals["__name__"]
            if module.startswith("worker.") and module not in VARYING_MODULES:
                path.append(innermost)
        coroutine = _attribute(coroutine, "await") or _generator_behind(coroutine)
    return " > ".join(path if path[-1:] == [innermost] else [*path, innermost])


def _attribute(coroutine: Any, name: str) -> Any:
    """The attribute of a coroutine or generator, whose name depends on the type."""
    named = (f"cr_{name}", f"ag_{name}", {"frame": "gi_frame", "await": "gi_yieldfrom"}[name])
    return next(
        (found for attribute in named if (found := getattr(coroutine, attribute, None))), None
    )


def _generator_behind(step: Any) -> types.AsyncGeneratorType[Any, Any] | None:
    """The asynchronous generator whose next value is awaited, if `step` is such an awaitable.

    Only the garbage collector knows it.
    """
    if type(step).__name__ != "async_generator_asend":
        return None
    behind = gc.get_referents(step)
    return next(
        (referent for referent in behind if isinstance(referent, types.AsyncGeneratorType)), None
    )
