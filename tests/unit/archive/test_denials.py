"""How often in a row the source of a file denied it, and the pause before the next attempt."""

import itertools

import pytest

from recording_schemas import ErrorInfo
from tests.unit.archive.test_manifest import file_ready
from worker.archive.denials import count_denials, count_doubts, pause_with_new_url
from worker.archive.errors import SourceDenied, SourceDoubtful, SourceUnsafe
from worker.store.archive_queue import FileTask

DENIED = SourceDenied("source_denied", "403")
PRIVATE = SourceUnsafe("private_address", "10.0.0.1")
ASTRAY = SourceUnsafe("source_url_refused", "redirects to http")
LARGE = SourceDoubtful("file_too_large", "the file has 99 bytes")
EMPTY = SourceDoubtful("source_empty", "no bytes")


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
    ("last_code", "error", "expected"),
    [
        (None, DENIED, 8),
        ("source_denied", DENIED, 8),
        ("unavailable", DENIED, 8),  # the API could not be read between two denials
        ("private_address", PRIVATE, 8),
        ("source_url_refused", ASTRAY, 8),
        ("private_address", ASTRAY, 8),
        ("source_denied", PRIVATE, 1),
        ("source_url_refused", DENIED, 1),
        ("private_address", DENIED, 1),
        ("file_too_large", DENIED, 1),
        ("source_empty", PRIVATE, 1),
    ],
)
def test_denials_and_unsafe_answers_are_counted_apart(
    last_code: str | None, error: SourceDenied | SourceUnsafe, expected: int
) -> None:
    assert count_denials(task(denials=7, last_code=last_code), error) == expected


@pytest.mark.parametrize(
    ("last", "error", "expected"),
    [
        ((None, ""), LARGE, 1),
        (("file_too_large", "the file has 99 bytes"), LARGE, 8),
        (("file_too_large", "the file has 98 bytes"), LARGE, 1),
        (("source_empty", "no bytes"), LARGE, 1),
        (("source_empty", "no bytes"), EMPTY, 8),
        (("source_denied", "403"), EMPTY, 1),
        (("private_address", "10.0.0.1"), EMPTY, 1),
    ],
)
def test_only_the_same_size_in_a_row_counts(
    last: tuple[str | None, str], error: SourceDoubtful, expected: int
) -> None:
    code, message = last
    known = task(denials=7, last_code=code, last_message=message)
    assert count_doubts(known, error) == expected


def test_a_first_new_url_is_tried_at_once_however_often_other_things_failed() -> None:
    assert [pause_with_new_url(task(attempts=number), 1) for number in (1, 2, 20)] == [0.0] * 3


def test_of_two_attempts_with_new_urls_at_least_one_waits() -> None:
    pauses = [pause_with_new_url(task(attempts=number), number) for number in range(2, 40)]
    assert all(sum(pair) >= 0.9 for pair in itertools.pairwise(pauses))
