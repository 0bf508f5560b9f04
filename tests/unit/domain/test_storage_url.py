"""The URL of the archive's storage."""

import pytest

from worker.domain.archive_keys import MAX_KEY_BYTES
from worker.domain.storage_url import MAX_PREFIX_BYTES, parse_storage_url


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
    ["s3://bucket", "s3://bucket/deep/prefix", "gs://b/p", "az://c", "file:///a%20b", "file:///"],
)
@pytest.mark.parametrize("key", ["a.webm", "app/ü b+c%20&=~!2F.webm", "日本/🎥#1?.webm"])
def test_the_url_of_an_object_leads_back_to_its_key(url: str, key: str) -> None:
    archive = parse_storage_url(url)

    assert archive.key_of(archive.of(key)) == key


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix2/a.webm"),
        ("s3://bucket/prefix", "s3://bucket/prefix/"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://bucket/prefix", "gs://bucket/prefix/a.webm"),
        ("file:///archive", "file:///archive2/a.webm"),
        ("file:///archive", ""),
    ],
)
def test_an_object_of_another_storage_has_no_key(url: str, other: str) -> None:
    assert parse_storage_url(url).key_of(other) is None


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


def test_a_prefix_leaves_room_for_the_longest_name() -> None:
    longest_prefix = "é" * (MAX_PREFIX_BYTES // 2)
    assert MAX_PREFIX_BYTES + 1 + MAX_KEY_BYTES < 1024

    assert parse_storage_url(f"s3://bucket/{longest_prefix}").prefix == longest_prefix
    with pytest.raises(ValueError, match="more than 250 bytes"):
        parse_storage_url(f"s3://bucket/{longest_prefix}x")
