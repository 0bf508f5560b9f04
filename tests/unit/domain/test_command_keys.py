"""The keys of a command: its slot, the slots it waits for, the locks it takes."""

import pytest

from recording_schemas import Command, StartTrackRecording, StopRecording
from worker.domain.command_keys import command_keys

MEETING = "2F1B7C3E-6a51-4f0a-9d5e-0c8f1f6f9b01"
START = StartTrackRecording(id="start", meeting_id=MEETING)
STOP = StopRecording(id="stop", meeting_id=MEETING)


@pytest.mark.parametrize("command", [START, STOP], ids=["start", "stop"])
def test_one_meeting_id_in_two_apps_is_two_meetings(command: Command) -> None:
    def shared_keys(app: str) -> set[str]:
        keys = command_keys(command, app)
        return {*([keys.slot] if keys.slot else []), *keys.rivals, *keys.locks[1:]}

    assert not shared_keys("eu") & shared_keys("us")
    assert not shared_keys("eu") & shared_keys("default")


def test_a_stop_of_a_meeting_waits_for_exactly_the_slots_that_its_starts_take() -> None:
    assert command_keys(START, "eu").slot in command_keys(STOP, "eu").rivals
    assert command_keys(START, "eu").rivals == ()


def test_the_slots_of_the_default_app_have_no_prefix() -> None:
    assert command_keys(START, "default").slot == f"{MEETING.lower()}/track"


def test_a_command_for_an_app_that_is_not_configured_takes_no_slot() -> None:
    keys = command_keys(START, None)
    assert (keys.app, keys.slot, keys.rivals) == (None, None, ())
