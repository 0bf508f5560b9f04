"""When a fault is triggered."""

import msgspec
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.routes import operations
from recording_sandbox.api.state import SandboxState
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import OPERATIONS, Fault, Faults


def strikes(faults: Faults, times: int, **occasion: str) -> list[bool]:
    request = {"operation": "get_recording", **occasion}
    return [faults.trigger({"refuse"}, **request) is not None for _ in range(times)]


def test_a_fault_is_triggered_count_times_and_no_more() -> None:
    faults = Faults()
    faults.add(Fault(kind="refuse", count=2))

    assert strikes(faults, 4) == [True, True, False, False]


def test_a_fault_skips_the_first_occasions() -> None:
    faults = Faults()
    faults.add(Fault(kind="refuse", skip=2, count=1))

    assert strikes(faults, 4) == [False, False, True, False]


def test_a_fault_is_triggered_only_by_its_operation_meeting_and_recording() -> None:
    faults = Faults()
    faults.add(Fault(kind="refuse", operation="start_*", meeting_id="m", recording_id="r"))

    struck = [
        strikes(faults, 1, operation="start_recording", meeting_id="m", recording_id="r"),
        strikes(faults, 1, operation="stop_recording", meeting_id="m", recording_id="r"),
        strikes(faults, 1, operation="start_recording", meeting_id="other", recording_id="r"),
        strikes(faults, 1, operation="start_recording", meeting_id="m"),
    ]

    assert struck == [[True], [False], [False], [False]]


@pytest.mark.parametrize("operation", ["stop_recording", "start_recoring", "other_*"])
def test_a_fault_that_no_operation_can_trigger_is_refused(operation: str) -> None:
    with pytest.raises(ValueError, match=r"operation '.*' is none of .*change_recording"):
        Fault(kind="refuse", operation=operation)


def test_a_fault_of_webhooks_or_downloads_names_an_event_or_a_file() -> None:
    for kind, name in (("webhook_drop", "meeting.started"), ("download_refuse", "*_audio_*")):
        assert msgspec.convert({"kind": kind, "operation": name}, Fault).operation == name


def test_every_operation_of_the_api_can_have_a_fault() -> None:
    served = operations(SandboxState(SandboxOptions(), Clock()))
    assert {name for name, *_ in served} == OPERATIONS


def test_the_same_seed_triggers_the_same_faults() -> None:
    runs = []
    for _ in range(2):
        faults = Faults(seed=7)
        faults.add(Fault(kind="refuse", probability=0.5))
        runs.append(strikes(faults, 50))

    assert runs[0] == runs[1]
    assert 10 < sum(runs[0]) < 40


def test_a_cleared_fault_is_not_triggered_and_others_stay() -> None:
    faults = Faults()
    first = faults.add(Fault(kind="refuse", count=1))
    faults.add(Fault(kind="reset"))

    faults.clear(first)

    assert strikes(faults, 1) == [False]
    assert [active.fault.kind for active in faults.active()] == ["reset"]


def test_a_fault_of_another_kind_is_not_triggered() -> None:
    faults = Faults()
    faults.add(Fault(kind="slow"))

    assert strikes(faults, 1) == [False]
