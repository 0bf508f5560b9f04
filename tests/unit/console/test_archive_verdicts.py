"""The sentences about the copies of a recording in the archive."""

from typing import Any

import pytest

from recording_schemas import ErrorInfo, FileReady, Status
from recording_schemas.examples import EVENTS
from tests.unit.console.test_verdicts import details
from worker.console.archive_verdicts import archive_verdicts
from worker.console.verdicts import recording_verdicts
from worker.domain.archive import ArchiveFile, ArchiveState
from worker.store.admin.archive_pages import ManifestState

REFUSED = ErrorInfo(code="storage_refused", message="403 AccessDenied")
AWAY = ErrorInfo(code="storage_unavailable", message="connection refused")
AGAIN = "The worker tries again."
DENIED = "storage_refused: 403 AccessDenied"
DOWN = "storage_unavailable: connection refused"
GAVE_UP = ", and the worker gave up."
EXPIRED = ErrorInfo(code="url_expired", message="no new URL")


def files(*states: tuple[ArchiveState, ErrorInfo | None]) -> list[ArchiveFile]:
    ready = next(event for event in EVENTS if isinstance(event, FileReady))
    return [
        ArchiveFile(
            recording_id="r1",
            file_index=number,
            app="default",
            state=state,
            file=ready,
            queued_at=1.0,
            last_error=error,
        )
        for number, (state, error) in enumerate(states, 1)
    ]


def manifest(**fields: Any) -> ManifestState:
    return ManifestState(**{"url": None, "written_at": None, "due_at": None, **fields})


@pytest.mark.parametrize(
    ("copies", "written", "says"),
    [
        ([], None, []),
        (files(("external", None)), None, []),
        (files(("archived", None)), manifest(), ["good: The archive has 1 copy."]),
        (
            files(("archived", None), ("archived", None), ("archived", None)),
            manifest(),
            ["good: The archive has 3 copies."],
        ),
        (
            files(("archived", None), ("queued", None)),
            None,
            ["wait: 1 of 2 files will be copied to the archive."],
        ),
        (
            files(("queued", REFUSED), ("queued", REFUSED), ("archived", None)),
            None,
            [f"bad: The archive's storage refuses 2 of 3 files. {AGAIN} {DENIED}"],
        ),
        (
            files(("queued", AWAY)),
            None,
            [f"note: 1 of 1 file could not be archived yet. {AGAIN} {DOWN}"],
        ),
        (
            files(("failed", EXPIRED), ("archived", None)),
            None,
            [f"bad: 1 of 2 files could not be archived{GAVE_UP} url_expired: no new URL"],
        ),
        (
            files(("archived", None)),
            manifest(due_at=9.0, last_error=REFUSED),
            [
                f"bad: The manifest could not be written yet. {AGAIN} {DENIED}",
                "good: The archive has 1 copy.",
            ],
        ),
        (
            files(("archived", None)),
            manifest(due_at=None, last_error=REFUSED),
            ["good: The archive has 1 copy."],
        ),
    ],
)
def test_each_state_of_the_copies_has_its_sentence(
    copies: list[ArchiveFile], written: ManifestState | None, says: list[str]
) -> None:
    sentences = [
        f"{verdict.level}: {verdict.text}" for verdict in archive_verdicts(copies, written)
    ]

    assert sentences == says


def test_a_complete_recording_whose_copies_are_refused_says_that_first() -> None:
    complete = details(status=Status.UPLOADED, completed=True, files=2)
    archive = archive_verdicts(files(("queued", REFUSED), ("queued", None)), None)

    first, second, third = recording_verdicts(complete, archive)[:3]

    assert (first.level, "refuses 1 of 2 files" in first.text) == ("bad", True)
    assert second.text == "It is complete: 2 files."
    assert third.text == "1 of 2 files will be copied to the archive."
