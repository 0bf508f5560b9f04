"""The settings of the archive are checked at the start, and their faults name the variable."""

import pytest

from worker.domain.errors import WrongSettings
from worker.settings.settings import Settings

ACCOUNT = {
    "REALTIMEKIT_ACCOUNT_ID": "a" * 32,
    "REALTIMEKIT_APP_ID": "5fa2f1c0-0c1a-4a2b-9f0a-1d2e3f4a5b6c",
    "REALTIMEKIT_API_TOKEN": "t",
}


def archive(**variables: str) -> Settings:
    named = {f"WORKER_ARCHIVE_{name.upper()}": value for name, value in variables.items()}
    return Settings.from_env({**ACCOUNT, **named})


def test_without_a_url_nothing_is_archived() -> None:
    assert archive().archive.archive_url is None


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/a/b",
        "gs://bucket/prefix",
        "az://container/prefix",
        "file:///var/recordings",
    ],
)
def test_the_url_names_a_bucket_a_container_or_a_folder(url: str) -> None:
    assert archive(url=url).archive.archive_url == url
    assert archive(url=f"{url}/").archive.archive_url == url


@pytest.mark.parametrize(
    "url",
    [
        "bucket/prefix",
        "https://bucket.example/prefix",
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket/prefix?versionId=1",
        "s3://bucket/../other",
        "file://relative/folder",
        "file:///",
        "s3://[bucket",
    ],
)
def test_another_url_is_refused_by_the_name_of_its_variable(url: str) -> None:
    with pytest.raises(WrongSettings) as refused:
        archive(url=url)
    (fault,) = refused.value.faults
    assert fault.startswith("WORKER_ARCHIVE_URL: must ")
    assert "secret" not in fault


def test_the_largest_file_fits_into_the_most_parts_that_s3_takes() -> None:
    with pytest.raises(WrongSettings) as refused:
        archive(part_bytes="5242880", max_file_bytes="52428800001")
    (fault,) = refused.value.faults
    assert fault.startswith("WORKER_ARCHIVE_MAX_FILE_BYTES: must be at most 10,000 times")
