"""The delays after failures grow for each recording, in bounded memory."""

from worker.tracking.retry_delays import RetryDelays


def test_each_failure_doubles_the_delay_up_to_the_longest() -> None:
    delays = RetryDelays()
    assert [delays.after_failure("a", 5.0) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert delays.after_failure("b", 5.0) == 1


def test_a_success_makes_the_next_failure_the_first_one() -> None:
    delays = RetryDelays()
    delays.after_failure("a", 2.0)
    assert delays.has_grown_to("a", 2.0)
    delays.forget("a")
    assert not delays.has_grown_to("a", 2.0)
    assert delays.after_failure("a", 2.0) == 1


def test_of_too_many_recordings_those_that_failed_longest_ago_are_forgotten() -> None:
    delays = RetryDelays(limit=2)
    for recording_id in ("a", "b", "a", "c"):
        delays.after_failure(recording_id, 8.0)
    assert delays.after_failure("a", 8.0) == 4
    assert delays.after_failure("b", 8.0) == 1
