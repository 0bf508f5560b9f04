"""When a new URL of an announced file causes an event."""

from datetime import UTC, datetime, timedelta

import pytest

from recording_schemas import Completed, FileReady, FileUrlRenewed, Status
from worker.domain.recording import Observation, Recording
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.domain.transitions import apply_observation
from worker.domain.url_renewals import PublishedUrl, renewed_files, url_hash

NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)
EXPIRY = NOW + timedelta(days=7)
OLD = "https://files.example.com/a.webm?signature=old"
NEW = "https://files.example.com/a.webm?signature=new"
KNOWN = PublishedUrl(url_hash(OLD), EXPIRY.timestamp())
LATER = EXPIRY + timedelta(seconds=1)


def read(
    url: str | None, expiry: datetime | None, *names: str, renews_urls: bool = True
) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id="r", status=Status.UPLOADED, kind="track", download_url_expiry=expiry
    )
    return Observation(
        snapshot=snapshot,
        observed_by="command",
        asked_at=NOW,
        observed_at=NOW,
        files=tuple(
            TrackFile(file_name=name, media_kind="audio", download_url=url)
            for name in names or ("a.webm",)
        ),
        renews_urls=renews_urls,
    )


@pytest.mark.parametrize(
    ("url", "expiry", "known", "is_news"),
    [
        (OLD, LATER, KNOWN, False),
        (NEW, EXPIRY, KNOWN, True),
        (NEW, EXPIRY - timedelta(days=1), KNOWN, False),
        (NEW, LATER, KNOWN, True),
        (NEW, None, KNOWN, True),
        (NEW, EXPIRY, PublishedUrl(url_hash(OLD), None), True),
        (NEW, EXPIRY, PublishedUrl(), True),
        (None, LATER, KNOWN, False),
        (None, None, PublishedUrl(), False),
    ],
)
def test_a_url_is_renewed_if_it_is_another_one_and_expires_no_earlier(
    url: str | None, expiry: datetime | None, known: PublishedUrl, is_news: bool
) -> None:
    assert bool(renewed_files(read(url, expiry), {"a.webm": known})) is is_news


def test_a_read_without_a_request_renews_no_url() -> None:
    observation = read(NEW, LATER, renews_urls=False)

    assert renewed_files(observation, {"a.webm": KNOWN}) == ()


def test_a_file_that_was_not_announced_has_no_renewed_url() -> None:
    assert renewed_files(read(NEW, LATER), {"b.webm": KNOWN}) == ()


def uploaded(*, file_count: int) -> Recording:
    """A completed recording, whose last event had the number 7."""
    return Recording(
        recording_id="r",
        app="default",
        kind="track",
        status=Status.UPLOADED,
        sequence=7,
        file_count=file_count,
        completed=True,
    )


def test_renewals_follow_new_files_and_precede_the_completion_and_keep_their_numbers() -> None:
    recording = uploaded(file_count=2)
    names = ("a.webm", "b.webm")
    urls = dict.fromkeys(names, KNOWN)

    transition = apply_observation(
        recording, read(NEW, LATER, "b.webm", "a.webm", "late.webm"), names, urls
    )

    kinds = [type(event) for event in transition.events]
    assert kinds == [FileReady, FileUrlRenewed, FileUrlRenewed, Completed]
    files = [event for event in transition.events if not isinstance(event, Completed)]
    numbered = {event.file_name: (event.file_index, event.file_count) for event in files}  # type: ignore[union-attr]
    assert numbered == {"a.webm": (1, 3), "b.webm": (2, 3), "late.webm": (3, 3)}
    assert transition.after.sequence == 11


def test_renewals_alone_count_as_a_change_and_complete_nothing_again() -> None:
    recording = uploaded(file_count=1)

    transition = apply_observation(recording, read(NEW, LATER), ("a.webm",), {"a.webm": KNOWN})

    assert [type(event) for event in transition.events] == [FileUrlRenewed]
    assert transition.after.sequence == 8
    assert transition.after.version == recording.version + 1
