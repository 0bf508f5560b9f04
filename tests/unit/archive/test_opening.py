"""Opening the storage of the archive."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.archive.errors import StorageRefused, StorageUnavailable
from worker.archive.opening import open_storage
from worker.domain.errors import WrongSettings


@pytest.mark.parametrize("library", ["obstore", "botocore"])
def test_without_the_libraries_the_error_names_the_variable_and_the_extra(library: str) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from worker.archive.opening import open_storage\n"
        "try: open_storage('s3://bucket', timeout_seconds=60, part_bytes=5_242_880)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("WrongSettings WORKER_ARCHIVE_URL needs the extra `archive`")
    assert library in done.stdout


def test_a_wrong_url_is_a_wrong_setting() -> None:
    with pytest.raises(WrongSettings, match="WORKER_ARCHIVE_URL must be s3://bucket/prefix"):
        open_storage("s3://", timeout_seconds=60, part_bytes=5_242_880)


def test_the_url_of_a_folder_opens(tmp_path: Path) -> None:
    storage = open_storage(tmp_path.as_uri(), timeout_seconds=60, part_bytes=5_242_880)
    assert storage.url_of("a.webm") == f"{tmp_path.as_uri()}/a.webm"


async def test_a_folder_is_looked_at_only_when_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    url = f"{tmp_path.as_uri()}/archive"
    storage = open_storage(url, timeout_seconds=60, part_bytes=5_242_880)
    with pytest.raises(StorageRefused, match="is not a folder"):
        await storage.head("a.webm")
    (tmp_path / "archive").unlink()
    with pytest.raises(StorageUnavailable, match="does not exist"):
        await storage.head("a.webm")
    (tmp_path / "archive").mkdir()
    await storage.put("a.webm", b"bytes", "audio/webm")
    assert await storage.head("a.webm") == 5


@pytest.mark.parametrize(
    ("url", "variable", "value", "reason"),
    [
        ("az://container", "AZURE_STORAGE_ACCOUNT_KEY", "sesame", "Account must be specified"),
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS", "/missing.json", "/missing.json"),
        ("gs://bucket", "GOOGLE_SERVICE_ACCOUNT_KEY", "sesame", "service account"),
        ("s3://bucket", "AWS_PROFILE", "missing", r"profile \(missing\)"),
        ("s3://bucket", "AWS_CHECKSUM_ALGORITHM", "CRC9", "CRC9"),
        ("s3://bucket", "AWS_ENDPOINT_URL", "sesame", "AWS_ENDPOINT_URL must begin with"),
        ("s3://bucket", "AWS_ENDPOINT_URL_S3", "https://", "AWS_ENDPOINT_URL_S3 must begin with"),
        ("gs://bucket", "GOOGLE_BASE_URL", "sesame:443", "GOOGLE_BASE_URL must begin with"),
        ("az://bucket", "AZURE_STORAGE_ENDPOINT", "ftp://a", "AZURE_STORAGE_ENDPOINT must begin"),
        ("s3://bucket", "SSL_CERT_FILE", "/missing.pem", "/missing.pem"),
    ],
)
def test_a_wrong_variable_of_the_provider_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, url: str, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        WrongSettings, match=f"WORKER_ARCHIVE_URL cannot be opened: .*{reason}"
    ) as wrong:
        open_storage(url, timeout_seconds=60, part_bytes=5_242_880)
    assert "sesame" not in str(wrong.value)


def test_a_worker_without_an_archive_needs_none_of_its_libraries() -> None:
    program = "import sys, worker.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert {"obstore", "botocore"}.isdisjoint(loaded)
