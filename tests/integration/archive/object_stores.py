"""Object stores that run on this machine: S3 by rclone and by moto."""

import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import OwnedProcess, wait_until

BIN: Final = Path(__file__).parents[3] / ".venv-integrations/bin"
BUCKET: Final = "recordings"
ACCESS_KEY: Final = "ARCHIVEACCESSKEY"
SECRET_KEY: Final = "archive-secret-key"  # noqa: S105 - that of a test
START_TIMEOUT_SECONDS: Final = 30.0


class StoreServer:
    """A running server, with an empty bucket. `environ` has the variables that lead to it."""

    def __init__(self, command: Callable[[int], list[str]], folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }
        self._process = OwnedProcess(
            command(self.port), environ=dict(os.environ), log=folder / "server.log"
        )
        wait_until(
            lambda: listens(self.port),
            seconds=START_TIMEOUT_SECONDS,
            otherwise=lambda: f"the server did not start:\n{self._process.log_tail()}",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()


def rclone_s3(folder: Path) -> StoreServer:
    """S3 by `rclone serve s3`. It checks signatures."""
    (folder / "root" / BUCKET).mkdir(parents=True)
    return StoreServer(
        lambda port: [
            *(str(BIN / "rclone"), "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"),
            *("--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(folder / "root")),
        ],
        folder,
    )


def moto_s3(folder: Path) -> StoreServer:
    """S3 by moto's server."""
    server = StoreServer(
        lambda port: [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], folder
    )
    request = urllib.request.Request(f"{server.url}/{BUCKET}", method="PUT")  # noqa: S310 - http
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - http
    return server
