"""obstore's stores, configured by the usual variables and files of each provider."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import botocore.session
from obstore.store import AzureStore, GCSStore, LocalStore, S3Store

from worker.archive.storage.s3_credentials import S3Credentials
from worker.domain.storage_url import StorageUrl

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

ObjectStore = S3Store | GCSStore | AzureStore | LocalStore

ENDPOINT_VARIABLES: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "file": (),
}
_ENDPOINT: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
CONNECT_TIMEOUT: Final = timedelta(seconds=10)
MAX_RETRY_TIME: Final = timedelta(minutes=2)
"""Within one attempt to copy a file. Later the queue tries it again."""


def open_store(
    url: StorageUrl, max_retries: int, *, timeout: timedelta, read_timeout: timedelta | None = None
) -> ObjectStore:
    """The store for the URL of the archive. Nothing is sent yet.

    `timeout` bounds a request with its body, `read_timeout` the time until its next bytes.

    Raises: ValueError, OSError or obstore's BaseError: the variables of the provider are wrong.
    """
    _check_endpoint(url)
    options = _client_options(url, timeout)
    if read_timeout is not None:
        options["read_timeout"] = read_timeout
    retries: RetryConfig = {"max_retries": max_retries, "retry_timeout": MAX_RETRY_TIME}
    prefix = url.prefix or None
    if url.scheme == "s3":
        return _open_s3(url, options, retries)
    if url.scheme == "gs":
        return GCSStore(url.bucket, prefix=prefix, client_options=options, retry_config=retries)
    if url.scheme == "az":
        return AzureStore(url.bucket, prefix=prefix, client_options=options, retry_config=retries)
    # Only the user creates a missing folder: its volume may be missing.
    return LocalStore(Path(url.prefix))


def _check_endpoint(url: StorageUrl) -> None:
    """Raise ValueError if a variable is not a URL: obstore would panic at the first request."""
    for name in ENDPOINT_VARIABLES[url.scheme]:
        if (value := os.environ.get(name)) and not _ENDPOINT.fullmatch(value):
            raise ValueError(f"{name} must begin with http:// or https:// and name a host")


def endpoint(url: StorageUrl) -> str | None:
    """The endpoint that a variable names, None for the provider's own."""
    values = (os.environ.get(name) for name in ENDPOINT_VARIABLES[url.scheme])
    return next((value for value in values if value), None)


def _open_s3(url: StorageUrl, options: "ClientConfig", retries: "RetryConfig") -> S3Store:
    config: S3Config = {"region": region()}
    if named := endpoint(url):
        # If there are several variables, obstore may prefer another one than botocore's client.
        config["endpoint"] = named
    if has_sha256_of_parts(url):
        config["checksum_algorithm"] = "SHA256"
    if not (endpoint(url) or "").startswith("http://") and not os.environ.get(
        "AWS_UNSIGNED_PAYLOAD"
    ):
        # TLS protects the bytes during the transfer, and the ETag proves them afterwards.
        config["unsigned_payload"] = True
    return S3Store(
        url.bucket,
        prefix=url.prefix or None,
        config=config,
        client_options=options,
        retry_config=retries,
        credential_provider=None if _is_on("AWS_SKIP_SIGNATURE") else S3Credentials(),
    )


def has_sha256_of_parts(url: StorageUrl) -> bool:
    """Whether S3 keeps the SHA-256 of each part: AWS does, others if a variable says so.

    Object lock requires a checksum of each part. Other storages may not know the header.
    """
    named = os.environ.get("AWS_CHECKSUM_ALGORITHM")
    return named.upper() == "SHA256" if named else endpoint(url) is None


def has_bucket_in_host() -> bool:
    """Whether the endpoint of S3 has the bucket in its host (virtual-hosted style)."""
    return _is_on("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes", "on"}


def region() -> str:
    """The region of S3 by AWS_REGION, AWS_DEFAULT_REGION or the profile's file."""
    named = os.environ.get("AWS_REGION") or botocore.session.Session().get_config_variable("region")
    return named or "us-east-1"


def _client_options(url: StorageUrl, timeout: timedelta) -> "ClientConfig":
    options: ClientConfig = {
        "timeout": timeout,
        "connect_timeout": CONNECT_TIMEOUT,
    }
    if (endpoint(url) or "").startswith("http://"):
        options["allow_http"] = True
    if authorities := os.environ.get("SSL_CERT_FILE"):
        options["root_certificate"] = Path(authorities).read_bytes()
    return options
