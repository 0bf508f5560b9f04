"""Which of the requests that wait share the next transaction."""

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from worker.store.database.submission_queue import MAX_COMMANDS, MAX_OTHERS, SubmissionQueue
from worker.store.database.submissions import Submission


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Queue(SubmissionQueue):
    """A queue of numbered requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._numbers = count()

    def put(self, number: int, *, urgent: bool = False, size: int = 1) -> None:
        for _ in range(number):
            done = self._loop.create_future()
            request = next(self._numbers)
            self.add(Submission(_operation, request, done, urgent=urgent, size=size))

    def take(self) -> list[int]:
        return [submission.request for submission in self.take_batch()]


def _operation(_connection: object, requests: object) -> list[object]:
    raise NotImplementedError


@pytest.fixture
def queue(loop: asyncio.AbstractEventLoop) -> Queue:
    return Queue(loop)


def test_a_command_waits_for_no_more_than_a_few_others(queue: Queue) -> None:
    queue.put(1000)
    queue.put(1, urgent=True)

    batch = queue.take()

    assert batch[0] == 1000
    assert len(batch) == 1 + MAX_OTHERS


def test_background_work_does_not_wait_until_no_command_waits(queue: Queue) -> None:
    queue.put(5)
    queue.put(MAX_COMMANDS + 1, urgent=True)

    assert set(queue.take()) >= set(range(5))
    assert queue.take() == [5 + MAX_COMMANDS]


def test_each_lane_keeps_its_order_and_loses_nothing(queue: Queue) -> None:
    queue.put(300)
    queue.put(700, urgent=True)
    queue.put(300)

    taken: list[int] = []
    while queue:
        taken += queue.take()

    commands = [number for number in taken if 300 <= number < 1000]
    assert commands == list(range(300, 1000))
    assert [number for number in taken if number not in set(commands)] == [
        *range(300),
        *range(1000, 1300),
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((MAX_OTHERS, 1), [0]),
        ((MAX_OTHERS - 1, 1, 1), [0, 1]),
        ((100, 1), [0]),  # larger than the limit: alone
        ((1, 100, 1), [0]),  # it is not overtaken
        ((0, 0, 0), [0, 1, 2]),
    ],
)
def test_a_transaction_is_about_a_few_recordings(
    queue: Queue, sizes: tuple[int, ...], expected: list[int]
) -> None:
    for size in sizes:
        queue.put(1, size=size)

    assert queue.take() == expected


def test_requests_that_wait_alone_share_one_transaction(queue: Queue) -> None:
    queue.put(MAX_COMMANDS, urgent=True)

    assert len(queue.take()) == MAX_COMMANDS
    assert not queue
