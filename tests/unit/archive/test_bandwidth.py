"""The bytes per second of a replica's downloads."""

from worker.archive.bandwidth import Bandwidth


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)


async def test_bytes_take_the_time_that_the_rate_says() -> None:
    clock = Clock()
    bandwidth = Bandwidth(1000, now=lambda: clock.now, sleep=clock.sleep)
    for _ in range(8):
        await bandwidth.spend(500)
    assert clock.now == 104.0


async def test_an_idle_time_is_not_made_up_for_by_a_burst() -> None:
    clock = Clock()
    bandwidth = Bandwidth(1000, now=lambda: clock.now, sleep=clock.sleep)
    await bandwidth.spend(1000)
    clock.now += 3600
    await bandwidth.spend(2000)
    assert clock.now == 101.0 + 3600 + 2
