"""The pauses between attempts grow up to the configured maximum."""

from worker.archive.pauses import pause_after


def test_pauses_double_from_one_second_up_to_the_longest() -> None:
    pauses = [pause_after(attempts, 600.0) for attempts in range(1, 13)]
    expected = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 600.0, 600.0]
    for pause, full in zip(pauses, expected, strict=True):
        assert 0.9 * full <= pause <= full


def test_no_number_of_attempts_is_too_large() -> None:
    assert pause_after(10**9, 600.0) <= 600.0
    assert 0.9 <= pause_after(0, 600.0) <= 1.0
