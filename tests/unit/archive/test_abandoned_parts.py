"""Where abandoned uploads are listed, and which files of a folder are abandoned parts."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from worker.archive.storage.abandoned_parts import open_client, remove_abandoned
from worker.domain.storage_url import parse_storage_url


@pytest.mark.parametrize(
    ("endpoint", "virtual", "expected"),
    [
        ("", "", "https://s3.eu-central-1.amazonaws.com/bucket/key?"),
        ("", "true", "https://bucket.s3.eu-central-1.amazonaws.com/key?"),
        ("https://id.r2.example.com", "", "https://id.r2.example.com/bucket/key?"),
        ("http://bucket.oss.example.com", "true", "http://bucket.oss.example.com/key?"),
    ],
)
def test_uploads_are_listed_where_objects_are_written(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, virtual: str, expected: str
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", virtual)
    client = open_client(parse_storage_url("s3://bucket/prefix"))
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "key"})
    assert url.startswith(expected)


def test_the_description_of_the_service_is_read_once_for_all_clients() -> None:
    first, second = (open_client(parse_storage_url(f"s3://{bucket}")) for bucket in ("one", "two"))
    assert first.meta.service_model.metadata is second.meta.service_model.metadata


@pytest.mark.parametrize(
    ("name", "key", "is_removed"),
    [
        ("a.webm#1", None, True),
        ("a.webm#1", "calls/a.webm", True),
        ("a.webm#1", "calls/b.webm", False),
        ("track#1", "calls/track", True),
        # The folder may have been there before the archive.
        ("Episode #12", None, False),
        ("a.webm", None, False),
    ],
)
async def test_only_the_remains_of_uploads_are_removed_from_a_folder(
    name: str, key: str | None, is_removed: bool, tmp_path: Path
) -> None:
    (tmp_path / "calls").mkdir()
    path = tmp_path / "calls" / name
    path.write_bytes(b"half")
    url = parse_storage_url(tmp_path.as_uri())

    assert await remove_abandoned(url, key, datetime(2100, 1, 1, tzinfo=UTC)) == is_removed
    assert path.exists() != is_removed
