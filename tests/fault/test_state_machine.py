"""Thousands of interleavings of commands, troubles, crashes and time, and what holds in all.

FAULT_INTERLEAVINGS=2000 is the long form; it prints how much was tried.
"""

import asyncio
import itertools
import logging
import os
import shutil
import tempfile
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from recording_sandbox.model.faults import Fault
from recording_sandbox.model.meetings import participant_ids
from tests.fault.event_stream_check import EventStreamCheck
from tests.fault.simulation import START_OPERATIONS, SimulatedReplica, Simulation, open_simulation
from tests.store_requests import claim_request
from worker.store.store import Store

INTERLEAVINGS = int(os.environ.get("FAULT_INTERLEAVINGS", "25"))
MEETINGS = tuple(str(uuid.UUID(int=n, version=4)) for n in (1, 2))
STARTS = st.sampled_from(sorted(START_OPERATIONS))
ASKED = st.sampled_from([*START_OPERATIONS, "list_recordings", "change_recording", "get_recording"])
LOST = ("lost_reset", "lost_half", "lost_502")
REPLICA_NUMBERS = st.integers(0, 1)
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - for a directory in it
"""Without waiting for the disk: replicas die only between two transactions."""
DONE: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="module")
def account() -> Iterator[None]:
    """At the end, print how much was tried. The workers' log lines would hide it."""
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    yield
    structlog.reset_defaults()
    print("".join(f"\n{name:12}{count:12,}" for name, count in DONE.items()))


class AnyInterleaving(RuleBasedStateMachine):
    """Two replicas on one store, whose clocks differ by a fifth of a second."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._stack = AsyncExitStack()
        self._ids = itertools.count(1)
        self.sent: dict[str, dict[str, Any]] = {}
        self.checked = EventStreamCheck()

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    @initialize(lag=st.sampled_from([0.0, 10.0]))
    def begin(self, lag: float) -> None:
        self.run(self._begin())
        self.the_list_lags(lag)

    async def _begin(self) -> None:
        self.world: Simulation = await self._stack.enter_async_context(open_simulation())
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
        shutil.copy(await _migrated(), Path(directory) / "state.db")
        self.store = await Store.open(f"sqlite:///{directory}/state.db", source="test")
        self._stack.push_async_callback(self.store.close)
        self.replicas = [self._replica(0), self._replica(1)]

    def _replica(self, number: int) -> SimulatedReplica:
        return self.world.replica(self.store, lambda: self.world.now + 0.2 * number)

    # What publishers do

    @rule(kind=STARTS, meeting=st.sampled_from(MEETINGS), allow=st.booleans())
    def start(self, kind: str, meeting: str, allow: bool) -> None:
        command_id = f"start-{next(self._ids)}"
        command: dict[str, Any] = {"type": kind, "id": command_id, "meeting_id": meeting}
        if kind == "start_track_recording":
            command |= {
                "user_ids": participant_ids(meeting)[:2],
                "layers": {"default": {"media_kind": "audio", "file_name_prefix": command_id}},
            }
        else:
            command |= {"file_name_prefix": command_id, "allow_multiple_recordings": allow}
        self._send(command)

    @rule(
        kind=STARTS,
        meeting=st.sampled_from(MEETINGS),
        lost=st.sampled_from(LOST),
        number=REPLICA_NUMBERS,
    )
    def start_and_lose_the_answer(self, kind: str, meeting: str, lost: Any, number: int) -> None:
        self.start(kind, meeting, allow=True)
        self.an_answer_gets_lost(kind, lost)
        self.run(self.world.deliver(self.world.queue[-1], self.replicas[number]))

    @precondition(lambda self: any(command_id.startswith("start-") for command_id in self.sent))
    @rule(data=st.data(), action=st.sampled_from(["stop", "stop", "pause", "resume"]))
    def act_on_a_start(self, data: st.DataObject, action: str) -> None:
        starts = [command_id for command_id in self.sent if command_id.startswith("start-")]
        self._send(
            {
                "type": f"{action}_recording",
                "id": f"{action}-{next(self._ids)}",
                "start_id": data.draw(st.sampled_from(starts)),
            }
        )

    @rule(meeting=st.sampled_from(MEETINGS), action=st.sampled_from(["stop", "pause"]))
    def act_on_a_meeting(self, meeting: str, action: str) -> None:
        command_id = f"{action}-{next(self._ids)}"
        self._send({"type": f"{action}_recording", "id": command_id, "meeting_id": meeting})

    @precondition(lambda self: len(self.world.sandbox.recordings.index) > 0)
    @rule(data=st.data())
    def sync(self, data: st.DataObject) -> None:
        index = self.world.sandbox.recordings.index
        known = [recording.request.prefix for recording in index.all()]
        number = known.index(data.draw(st.sampled_from(known)))
        command_id = f"sync-{next(self._ids)}"
        recording_id = index.number(number).id
        self._send({"type": "sync_recording", "id": command_id, "recording_id": recording_id})

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        self.world.send(self.sent[data.draw(st.sampled_from(sorted(self.sent)))])

    def _send(self, command: dict[str, Any]) -> None:
        self.sent[command["id"]] = command
        self.world.send(command)

    # What replicas do, and how they die

    @precondition(lambda self: self.world.ready())
    @rule(number=REPLICA_NUMBERS, ack_is_lost=st.booleans())
    def deliver(self, number: int, ack_is_lost: bool) -> None:
        message = self.world.ready()[0]
        self.run(self.world.deliver(message, self.replicas[number], ack_is_lost=ack_is_lost))

    @precondition(lambda self: len(self.world.ready()) > 1)
    @rule()
    def deliver_all_at_once(self) -> None:
        self.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        pairs = zip(self.world.ready(), itertools.cycle(self.replicas), strict=False)
        await asyncio.gather(*(self.world.deliver(message, to) for message, to in pairs))

    @precondition(lambda self: self.world.ready())
    @rule(number=REPLICA_NUMBERS, operation=ASKED)
    def die_before_the_answer(self, number: int, operation: str) -> None:
        message = self.world.ready()[0]
        self.run(self.world.crash(message, self.replicas[number], operation))
        self.replicas[number] = self._replica(number)

    @precondition(lambda self: self.world.ready())
    @rule(number=REPLICA_NUMBERS)
    def die_after_the_claim(self, number: int) -> None:
        command = msgspec.json.decode(self.world.ready()[0].delivery.body)
        kind = START_OPERATIONS.get(command["type"])
        now = self.replicas[number].now()
        claim = claim_request(
            command["id"],
            command["type"],
            owner=f"died-{next(self._ids)}",
            now=now,
            app="default",
            slot=f"{command['meeting_id']}/{kind}" if kind else None,
        )
        self.run(self.store.claim(claim))

    @rule(number=REPLICA_NUMBERS)
    def sweep_and_read(self, number: int) -> None:
        self.run(self.world.sweep_and_read(self.replicas[number]))

    # Actions of the API and of time

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 31.0, 65.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(self._advance(seconds))

    async def _advance(self, seconds: float) -> None:
        self.world.sandbox.clock.advance(seconds)

    @rule(operation=ASKED, kind=st.sampled_from([*LOST, "reset"]))
    def an_answer_gets_lost(self, operation: str, kind: Any) -> None:
        self.world.sandbox.faults.add(Fault(kind=kind, operation=operation, count=1))

    @rule(operation=ASKED, status=st.sampled_from([401, 429, 500, 503]))
    def the_api_is_unavailable(self, operation: str, status: int) -> None:
        fault = Fault(kind="refuse", operation=operation, status=status, count=2)
        self.world.sandbox.faults.add(fault)

    @rule(operation=ASKED, status=st.sampled_from([400, 404, 409]))
    def the_api_says_no(self, operation: str, status: int) -> None:
        fault = Fault(kind="refuse", operation=operation, status=status, count=1)
        self.world.sandbox.faults.add(fault)

    @rule(seconds=st.sampled_from([0.0, 10.0]))
    def the_list_lags(self, seconds: float) -> None:
        self.world.sandbox.behaviour.change({"list_lag_seconds": seconds})

    # What holds

    @invariant()
    def subscribers_are_told_each_fact_once_and_in_order(self) -> None:
        if hasattr(self, "replicas"):
            DONE["steps"] += 1
            self.run(self.world.relay(self.store))
            self.checked.add(self.world.published)
            self.world.published.clear()

    @invariant()
    def a_start_has_at_most_one_recording(self) -> None:
        if hasattr(self, "replicas"):
            for start_id, found in self._recordings_by_start().items():
                assert len(found) == 1, f"{start_id} started {found}"

    def _recordings_by_start(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for recording in self.world.sandbox.recordings.index.all():
            found[str(recording.request.prefix)].append(recording.id)
        return found

    def teardown(self) -> None:
        try:
            if hasattr(self, "replicas"):
                self.run(self._drain())
        finally:
            self.run(self._stack.aclose())
            self._runner.close()

    async def _drain(self) -> None:
        """Without further faults every command ends, and every recording is reported to its end."""
        await self.world.drain(self.replicas)
        self.checked.add(self.world.published)
        recordings = self._recordings_by_start()
        index = self.world.sandbox.recordings.index
        self.checked.check_outcomes(self.sent, recordings)
        self.checked.check_ends(index.all())
        DONE.update(
            examples=1, commands=len(self.sent), recordings=len(index), events=len(self.checked)
        )


_TEMPLATES: list[Path] = []


async def _migrated() -> Path:
    """A database with its tables, made once: migrating takes longer than a whole example."""
    if not _TEMPLATES:
        path = Path(tempfile.mkdtemp()) / "state.db"
        await (await Store.open(f"sqlite:///{path}", source="test")).close()
        _TEMPLATES.append(path)
    return _TEMPLATES[0]


TestAnyInterleaving = pytest.mark.timeout(300 + INTERLEAVINGS)(AnyInterleaving.TestCase)
TestAnyInterleaving.settings = settings(
    max_examples=INTERLEAVINGS,
    stateful_step_count=40,
    deadline=None,
    # A failing interleaving is printed as found: shrinking takes longer than the time-out.
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
