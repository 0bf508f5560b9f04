"""A worker that is killed between any two steps of its work loses nothing and doubles nothing."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fault.field import Field, open_field
from tests.fault.kill_points import (
    Hearing,
    LostStart,
    Nonsense,
    Reading,
    Relaying,
    Start,
    Stop,
    Sweeping,
    kill_at_points,
)

EVERY = bool(os.environ.get("FAULT_EVERY_POINT"))
"""The long form: also points that have the name of an earlier one."""

WORKS: dict[type[Start], tuple[str, ...]] = {
    Start: ("Store.claim", "RealtimeKitClient.start_track_recording", "Store.finish"),
    LostStart: (
        "Store.release",
        "Publisher.publish",
        "RealtimeKitClient.list_recordings",
        "Store.finish",
    ),
    Stop: ("Store.claim", "RealtimeKitClient.control_recording", "Store.finish"),
    Nonsense: ("Store.claim", "Store.finish", "Publisher.publish"),
    Relaying: ("Store.unsent", "Publisher.publish"),
    Sweeping: ("Store.live", "RealtimeKitClient.list_recordings", "Store.schedule_read"),
    Reading: (
        "Store.due",
        "RealtimeKitClient.get_recording",
        "RealtimeKitClient.list_participants",
        "Store.apply",
    ),
    Hearing: ("WebhookVerifier.verify", "Store.apply_webhook"),
}
"""Each kind of work with stages that a kill must have hit, asleep as well as awake."""


@pytest.fixture
async def field(amqp_url: str, names_prefix: str, tmp_path: Path) -> AsyncIterator[Field]:
    """As everywhere, but no request takes long: what has not come to light soon was never begun."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_field(
        amqp_url, database, tmp_path, prefix=names_prefix, seed=1, WORKER_RECONCILE_SECONDS="1.5"
    ) as field:
        yield field


@pytest.mark.timeout(1200 if EVERY else 120)
@pytest.mark.parametrize("kind", WORKS, ids=lambda kind: str(kind.name))
async def test_killed_at_any_point_nothing_is_lost_and_nothing_is_doubled(
    field: Field, kind: type[Start]
) -> None:
    killed_at = await kill_at_points(kind(field), every=EVERY)
    found = await field.settled()
    assert found.violations == ()
    for stage in WORKS[kind]:
        phases = {one.rpartition(" ")[2] for one in killed_at if stage in one}
        assert phases == {"(asleep)", "(awake)"}, (stage, killed_at)
