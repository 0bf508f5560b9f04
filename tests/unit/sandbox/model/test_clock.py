"""Sandbox time."""

import asyncio

import pytest

from recording_sandbox.model.clock import Clock, iso


def frozen() -> Clock:
    return Clock(speed=0, start=1000.0)


def test_time_stands_still_at_speed_zero_until_it_is_advanced() -> None:
    clock = frozen()

    clock.advance(2.5)

    assert clock.now() == 1002.5


def test_at_speed_sixty_a_second_is_a_minute() -> None:
    ticks = iter([0.0, 2.0])
    clock = Clock(speed=60, start=0.0, monotonic=lambda: next(ticks))

    assert clock.now() == 120.0


def test_a_change_of_speed_does_not_change_the_time() -> None:
    real = [0.0]
    clock = Clock(speed=10, start=0.0, monotonic=lambda: real[0])
    real[0] = 5.0

    clock.set_speed(1)
    real[0] = 6.0

    assert clock.now() == 51.0


def test_actions_run_in_the_order_of_their_due_times_and_see_them_as_now() -> None:
    clock = frozen()
    runs: list[tuple[str, float]] = []
    clock.at(1020.0, lambda: runs.append(("second", clock.now())))
    clock.at(1010.0, lambda: runs.append(("first", clock.now())))

    clock.advance(60)

    assert runs == [("first", 1010.0), ("second", 1020.0)]


def test_an_action_scheduled_by_an_action_before_now_runs_in_the_same_pass() -> None:
    clock = frozen()
    runs: list[float] = []
    clock.at(1001.0, lambda: void(clock.at(clock.now() + 1, lambda: runs.append(clock.now()))))

    clock.advance(10)

    assert runs == [1002.0]


def void(value: object) -> None:
    del value


def test_the_action_of_a_cancelled_timer_does_not_run() -> None:
    clock = frozen()
    runs: list[str] = []
    timer = clock.at(1001.0, lambda: runs.append("happened"))

    timer.cancel()
    clock.advance(10)

    assert runs == []


async def test_a_running_clock_wakes_up_for_an_action_scheduled_meanwhile() -> None:
    clock = Clock(speed=1000)
    happened = asyncio.Event()
    running = asyncio.create_task(clock.run())
    await asyncio.sleep(0)

    clock.at(clock.now() + 5, happened.set)

    async with asyncio.timeout(5):
        await happened.wait()
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("speed", [-1.0, float("inf"), float("nan")])
def test_an_invalid_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        frozen().set_speed(speed)


def test_time_never_moves_backward() -> None:
    with pytest.raises(ValueError, match="forward"):
        frozen().advance(-1)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    assert iso(0.0015) == "1970-01-01T00:00:00.001Z"
