"""The web server and the S3 server of the benchmark, both rclone's and both with TLS."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.contestant_list import ROOT
from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.processes import OwnedProcess, wait_until

RCLONE: Final = ROOT / ".venv-integrations/bin/rclone"
BUCKET: Final = "recordings"
KEY: Final = "ARCHIVEACCESSKEY"
SECRET: Final = "archive-secret-key"  # noqa: S105 - that of a benchmark
CERTIFICATE: Final = (
    *("openssl", "req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
    *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-addext", "basicConstraints=critical,CA:FALSE"),
    *("-addext", "subjectAltName=IP:127.0.0.1"),
)


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Serve the files of `folder / "files"`, and S3. Yields the environment of the contestants.

    Its variable WEB is the URL that the names of the files are appended to.
    """
    (folder / "s3" / BUCKET).mkdir(parents=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _make_certificate(certificate, key)
    web, s3 = free_ports(2)
    tls = ("--cert", str(certificate), "--key", str(key))
    serve_http = ("serve", "http", *tls, str(folder / "files"))
    serve_s3 = ("serve", "s3", *tls, "--auth-key", f"{KEY},{SECRET}", str(folder / "s3"))
    started = [
        _start(web, serve_http, folder / "http.log"),
        _start(s3, serve_s3, folder / "s3.log"),
    ]
    try:
        yield {**os.environ, **_environ(folder, web, f"https://127.0.0.1:{s3}", str(certificate))}
    finally:
        for server in started:
            server.kill()


def remove_copies(environ: dict[str, str]) -> None:
    """Remove the copies: rclone does not send a file that already exists."""
    command = [str(RCLONE), "purge", f"dest:{BUCKET}/copies"]
    subprocess.run(command, env=environ, check=True)  # noqa: S603 - a command of this module


def _make_certificate(certificate: Path, key: Path) -> None:
    command = [*CERTIFICATE, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - as above


def _start(port: int, arguments: Sequence[str], log: Path) -> OwnedProcess:
    address = ("--addr", f"127.0.0.1:{port}")
    command = [str(RCLONE), "--config", "", *arguments[:2], *address, *arguments[2:]]
    process = OwnedProcess(command, environ=dict(os.environ), log=log)
    wait_until(lambda: listens(port), seconds=30, otherwise=process.log_tail)
    return process


def _environ(folder: Path, web: int, endpoint: str, certificate: str) -> dict[str, str]:
    worker_environ = {
        "ARCHIVE": f"s3://{BUCKET}",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "SSL_CERT_FILE": certificate,
    }
    other_environ = {
        "CURL_CA_BUNDLE": certificate,
        "RCLONE": str(RCLONE),
        "RCLONE_CA_CERT": certificate,
        "RCLONE_CONFIG": "",
        "RCLONE_CONFIG_DEST_TYPE": "s3",
        "RCLONE_CONFIG_DEST_PROVIDER": "Rclone",
        "RCLONE_CONFIG_DEST_ENDPOINT": endpoint,
        "RCLONE_CONFIG_DEST_ACCESS_KEY_ID": KEY,
        "RCLONE_CONFIG_DEST_SECRET_ACCESS_KEY": SECRET,
        "BUCKET": BUCKET,
        "FILES": str(folder),
        "WEB": f"https://127.0.0.1:{web}",
    }
    return worker_environ | other_environ
