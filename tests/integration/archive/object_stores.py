"""Object stores that run on this machine: S3 by rclone and by moto, Azure by Azurite."""

import base64
import hashlib
import hmac
import os
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import OwnedProcess, wait_until

ROOT: Final = Path(__file__).parents[3]
BIN: Final = ROOT / ".venv-integrations/bin"
AZURITE: Final = ROOT / "tests/azurite/node_modules/.bin/azurite-blob"
BUCKET: Final = "recordings"
ACCESS_KEY: Final = "ARCHIVEACCESSKEY"
SECRET_KEY: Final = "archive-secret-key"  # noqa: S105 - that of a test
AZURE_ACCOUNT: Final = "account"
AZURE_KEY: Final = base64.b64encode(b"archive").decode()
START_TIMEOUT_SECONDS: Final = 60.0


class StoreServer:
    """A running server, with an empty bucket. `environ` has the variables that lead to it.

    `archive` is the URL of the bucket.
    """

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = OwnedProcess(
            self.command(folder), environ={**os.environ, **self.variables()}, log=folder / "log"
        )
        wait_until(
            lambda: listens(self.port),
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"the server did not start:\n{self._process.log_tail()}",
        )
        self.create_bucket()

    archive = f"s3://{BUCKET}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a client to this server."""
        return s3_environ(self.url)

    def command(self, folder: Path) -> list[str]:
        """The program and its arguments."""
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        """The variables that the server itself needs."""
        return {}

    def create_bucket(self) -> None:
        """Create the bucket if it is not there."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()


class RcloneS3(StoreServer):
    """S3 by `rclone serve s3`. It checks signatures."""

    def command(self, folder: Path) -> list[str]:
        """Serve a folder whose sub-folders are the buckets."""
        (folder / "root" / BUCKET).mkdir(parents=True)
        serve = (str(BIN / "rclone"), "serve", "s3", "--config", "")
        keys = f"{ACCESS_KEY},{SECRET_KEY}"
        address = f"127.0.0.1:{self.port}"
        return [*serve, "--addr", address, "--auth-key", keys, str(folder / "root")]


class MotoS3(StoreServer):
    """S3 by moto's server."""

    def command(self, folder: Path) -> list[str]:
        """Serve the objects from memory."""
        return [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]

    def create_bucket(self) -> None:
        """Moto asks for no signature."""
        _put(f"{self.url}/{BUCKET}", {})


class Azurite(StoreServer):
    """Azure's blob storage by Azurite."""

    archive = f"az://{BUCKET}"

    def command(self, folder: Path) -> list[str]:
        """Serve the objects from memory."""
        options = (
            "--inMemoryPersistence",
            "--silent",
            "--disableTelemetry",
            "--skipApiVersionCheck",
        )
        address = ("--blobHost", "127.0.0.1", "--blobPort", str(self.port))
        return [str(AZURITE), *address, *options]

    def variables(self) -> dict[str, str]:
        """Its only account."""
        return {"AZURITE_ACCOUNTS": f"{AZURE_ACCOUNT}:{AZURE_KEY}"}

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a client to this server."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_ENDPOINT": f"{self.url}/{AZURE_ACCOUNT}",
        }

    def create_bucket(self) -> None:
        """Create the container, with a signature by the account's key."""
        headers = {
            "x-ms-date": datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "x-ms-version": "2021-08-06",
        }
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{BUCKET}\nrestype:container"
        text = "PUT" + "\n" * 12 + lines + resource
        digest = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256)
        signature = base64.b64encode(digest).decode()
        headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{signature}"
        _put(f"{self.url}/{AZURE_ACCOUNT}/{BUCKET}?restype=container", headers)


def s3_environ(url: str) -> dict[str, str]:
    """The variables that lead a client of S3 to a server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
    }


def _put(url: str, headers: dict[str, str]) -> None:
    request = urllib.request.Request(url, method="PUT", headers=headers)  # noqa: S310 - http
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - http
