"""The URL of the archive's storage."""

import pytest

from worker.archive.storage.storage_url import parse_storage_url


@pytest.mark.parametrize(
    ("url", "of_key"),
    [
        ("s3://bucket", "s3://bucket/a/b.webm"),
        ("s3://bucket/", "s3://bucket/a/b.webm"),
        ("s3://bucket/deep/prefix/", "s3://bucket/deep/prefix/a/b.webm"),
        ("gs://bucket/prefix", "gs://bucket/prefix/a/b.webm"),
        ("az://container/prefix", "az://container/prefix/a/b.webm"),
        ("file:///var/recordings", "file:///var/recordings/a/b.webm"),
        ("file:///with%20space/", "file:///with%20space/a/b.webm"),
        ("file://localhost/var/recordings", "file:///var/recordings/a/b.webm"),
    ],
)
def test_an_object_has_a_url_below_that_of_the_archive(url: str, of_key: str) -> None:
    assert parse_storage_url(url).of("a/b.webm") == of_key


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "http://bucket/prefix",
        "s3://",
        "s3:///prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket:9000/prefix",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/prefix?secret=sesame",
        "file://host/path",
        "file:path",
        "file:///var/../etc",
        "s3://[bucket",
    ],
)
def test_a_wrong_url_is_refused_with_the_right_forms_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must be s3://bucket/prefix") as refused:
        parse_storage_url(url)
    assert "secret" not in str(refused.value)
    assert "sesame" not in str(refused.value)
