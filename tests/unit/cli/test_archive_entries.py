"""Why a file of the archive waits, in words, and how it is shown."""

from typing import Any, Final

import pytest

from recording_schemas import ErrorInfo, FileReady, examples
from worker.cli.archive.entries import COLUMNS, entry_json, entry_row, why
from worker.domain.archive import CopiedFile
from worker.store.admin.archived_files import ArchiveEntry

NOW: Final = 1_800_000_000.0
FILE: Final = next(event for event in examples.EVENTS if isinstance(event, FileReady))
REFUSED: Final = ErrorInfo(code="storage_refused", message="HTTP 403")


def entry(state: Any = "queued", **fields: Any) -> ArchiveEntry:
    base: dict[str, Any] = {"file": FILE, "due_at": NOW, "has_url": True}
    return ArchiveEntry(recording_id="r-1", app="eu", state=state, **{**base, **fields})


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (entry(), "next attempt now"),
        (entry(due_at=NOW + 90), "next attempt in 1m"),
        (entry(due_at=None), "next attempt now"),
        (entry(has_url=False), "it has no download URL yet; next attempt now"),
        (entry(is_taken=True, due_at=NOW + 60), "a worker is copying or writing it"),
        (
            entry(is_taken=True, last_error=REFUSED),
            "a worker is copying or writing it; before: storage_refused: HTTP 403",
        ),
        (
            entry(last_error=REFUSED, due_at=NOW + 600),
            "storage_refused: HTTP 403; next attempt in 10m",
        ),
        (
            entry(file=None, has_url=False, last_error=REFUSED),
            "storage_refused: HTTP 403; next attempt now",
        ),
        (entry(file=None, has_url=False), "next attempt now"),
        (entry("failed", last_error=REFUSED), "storage_refused: HTTP 403"),
        (entry("failed"), None),
        (entry("archived"), None),
        (entry("archived", last_error=REFUSED), "storage_refused: HTTP 403"),
        (entry("external"), "it is in your own storage"),
    ],
)
def test_a_file_says_why_it_waits(shown: ArchiveEntry, words: str | None) -> None:
    assert why(shown, NOW) == words


def test_every_column_of_the_table_has_its_field_for_files_and_manifests() -> None:
    shown = (entry(), entry(file=None), entry(file=None, file_index=3))
    rows = [entry_row(item, NOW) for item in shown]

    assert all(column.field in row for row in rows for column in COLUMNS)
    assert [row["shown_file"] for row in rows] == [FILE.file_name, "(manifest)", "(file 3)"]


def test_the_json_of_a_copy_has_its_place_and_checksum() -> None:
    copied = CopiedFile(
        archive_url="s3://b/a.webm", size_bytes=7, sha256="0" * 64, content_type="audio/webm"
    )

    line = entry_json(entry("archived", copied=copied, archived_at=NOW, due_at=None), NOW)

    assert (line["archive_url"], line["size_bytes"], line["sha256"]) == (
        "s3://b/a.webm",
        7,
        "0" * 64,
    )
    assert (line["next_attempt_at"], line["archived_at"]) == (None, "2027-01-15T08:00:00+00:00")


def test_the_json_says_no_next_attempt_while_a_worker_is_at_it() -> None:
    assert entry_json(entry(is_taken=True), NOW)["next_attempt_at"] is None
    assert entry_json(entry(), NOW)["next_attempt_at"] is not None


def test_a_row_has_the_code_of_an_error_and_its_text_apart_which_may_be_long() -> None:
    row = entry_row(entry(last_error=REFUSED, due_at=NOW + 600), NOW)

    assert row["shown_why"] == "storage_refused; next attempt in 10m"
    assert row["error_text"] == "HTTP 403"
