"""Where the list of abandoned uploads is asked for."""

import pytest

from worker.archive.storage.abandoned_parts import open_client
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
