"""A worker that is killed between any two steps of its work loses nothing and doubles nothing."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fault.archive_folder import folder_faults
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.kill_point_scenarios import (
    ArchiveScenario,
    LimitScenario,
    LostStartScenario,
    ManifestScenario,
    NamedPeopleScenario,
    NonsenseScenario,
    ParkScenario,
    RefreshScenario,
    RelayScenario,
    StartScenario,
    StopMeetingScenario,
    StopScenario,
    SweepScenario,
    UnparkScenario,
    WebhookScenario,
    kill_at_points,
)

EVERY = bool(os.environ.get("FAULT_EVERY_POINT"))
"""The long form: also points that have the name of an earlier one."""

SCENARIOS: dict[type[StartScenario], tuple[str, ...]] = {
    StartScenario: ("Store.claim", "RealtimeKitClient.start_track_recording", "Store.finish"),
    NamedPeopleScenario: (
        "RealtimeKitClient.list_meeting_participants",
        "Store.keep_people",
        "RealtimeKitClient.start_track_recording",
    ),
    LostStartScenario: (
        "Store.release",
        "Publisher.publish",
        "RealtimeKitClient.list_recordings",
        "Store.finish",
    ),
    StopScenario: ("Store.claim", "RealtimeKitClient.control_recording", "Store.finish"),
    StopMeetingScenario: (
        "RealtimeKitClient.list_recordings",
        "Store.keep_intent",
        "RealtimeKitClient.control_recording",
        "Store.finish",
    ),
    NonsenseScenario: ("Store.claim", "Store.finish", "Publisher.publish"),
    RelayScenario: ("Store.unsent", "Publisher.publish"),
    ParkScenario: (
        "Store.claim",
        "RealtimeKitClient.has_live_session",
        "Store.park",
        "RealtimeKitClient.start_track_recording",
        "Store.finish",
    ),
    UnparkScenario: ("Store.due_commands", "Store.remove_published"),
    SweepScenario: ("Store.find_live", "RealtimeKitClient.list_recordings", "Store.schedule_read"),
    RefreshScenario: (
        "Store.find_due_reads",
        "RealtimeKitClient.get_recording",
        "RealtimeKitClient.list_participants",
        "Store.apply",
    ),
    LimitScenario: (
        "Store.due_stops",
        "Store.move_stop",
        "RealtimeKitClient.control_recording",
        "Store.apply",
    ),
    WebhookScenario: ("WebhookVerifier.verify", "Store.apply_webhook"),
    ArchiveScenario: (
        "Download.open",
        "ChunkPipe.fill",
        "ArchiveStorage.upload",
        "ArchiveStorage.head",
        "ArchiveStore.copy_done",
    ),
    ManifestScenario: ("ArchiveStore.read", "ArchiveStorage.put", "ArchiveStore.manifest_done"),
}
"""Each kind of work with stages that a kill must have hit, asleep as well as awake."""


@pytest.fixture
async def environment(
    amqp_url: str, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """The usual settings, but requests are short: a recording that does not appear soon was never
    started."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_fault_environment(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1, WORKER_RECONCILE_SECONDS="1.5"
    ) as environment:
        yield environment


@pytest.mark.timeout(1200 if EVERY else 120)
@pytest.mark.parametrize("kind", SCENARIOS, ids=lambda kind: str(kind.name))
async def test_a_kill_at_any_suspension_point_loses_and_duplicates_nothing(
    environment: FaultEnvironment, kind: type[StartScenario]
) -> None:
    scenario = kind(environment)
    killed_at = await kill_at_points(scenario, every_point=EVERY)
    found = await environment.settled()
    assert found.violations == ()
    assert scenario.faults() == []
    assert list(folder_faults(environment.directory / "archive", environment.facts)) == []
    for stage in SCENARIOS[kind]:
        phases = {point.rpartition(" ")[2] for point in killed_at if stage in point}
        assert phases == {"(asleep)", "(awake)"}, (stage, killed_at)
