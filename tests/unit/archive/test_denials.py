"""How often in a row the source of a file denied it, and the pause before the next attempt."""

import itertools

import pytest

from recording_schemas import ErrorInfo
from tests.unit.archive.test_manifest import file_ready
from worker.archive.denials import count_denials, known_doubts, pause_with_new_url
from worker.store.archive_queue import FileTask


def task(
    *, attempts: int = 1, denials: int = 0, last_code: str | None = None, last_message: str = ""
) -> FileTask:
    return FileTask(
        recording_id="r1",
        file_index=1,
        round=1,
        app="default",
        file=file_ready("a.webm"),
        download_url="https://files.example/a",
        expires_at=0.0,
        attempts=attempts,
        refusals=0,
        denials=denials,
        last_error=ErrorInfo(code=last_code, message=last_message) if last_code else None,
        started_time=None,
        trace={},
    )


@pytest.mark.parametrize(
    ("last_code", "expected"),
    [
        (None, 8),
        ("source_denied", 8),
        ("unavailable", 8),  # the API could not be read between two denials
        ("private_address", 1),
        ("source_url_refused", 1),
        ("file_too_large", 1),
        ("source_empty", 1),
        ("url_expired", 1),
    ],
)
def test_denials_are_counted_apart_from_answers_that_are_doubted(
    last_code: str | None, expected: int
) -> None:
    assert count_denials(task(denials=7, last_code=last_code)) == expected


LARGE = ("file_too_large", "the file has 99 bytes")


@pytest.mark.parametrize(
    ("last", "answer", "expected"),
    [
        ((None, ""), LARGE, 0),
        (LARGE, LARGE, 7),
        (("file_too_large", "the file has 98 bytes"), LARGE, 0),
        (("source_empty", ""), LARGE, 0),
        (("source_empty", ""), ("source_empty", ""), 7),
        (("source_denied", "403"), ("source_empty", ""), 0),
        (("unavailable", ""), ("source_empty", ""), 0),
        (("url_expired", "after 403"), ("url_expired", "after 503"), 7),
        (("private_address", "10.0.0.1"), ("private_address", "10.0.0.2"), 7),
        (("private_address", ""), ("source_url_refused", ""), 7),
        (("private_address", ""), ("source_empty", ""), 0),
    ],
)
def test_only_answers_of_one_kind_in_a_row_count_and_only_the_same_size(
    last: tuple[str | None, str], answer: tuple[str, str], expected: int
) -> None:
    code, message = last
    known = task(denials=7, last_code=code, last_message=message)
    assert known_doubts(known, *answer) == expected


def test_a_first_new_url_is_tried_at_once_however_often_other_things_failed() -> None:
    assert [pause_with_new_url(task(attempts=number), 1) for number in (1, 2, 20)] == [0.0] * 3


def test_of_two_attempts_with_new_urls_at_least_one_waits() -> None:
    pauses = [pause_with_new_url(task(attempts=number), number) for number in range(2, 40)]
    assert all(sum(pair) >= 0.9 for pair in itertools.pairwise(pauses))
