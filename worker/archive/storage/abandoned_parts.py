"""Removes the parts of uploads that a killed process left behind.

    S3      the parts of a multipart upload stay, cost money, and are in no list of objects
    GCS     the same; a lifecycle rule removes them (AbortIncompleteMultipartUpload)
    Azure   removes uncommitted blocks after a week
    folder  a file `name#1` next to the target

obstore cannot list them. botocore does it for S3.
"""

import os
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import botocore.client
import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.parsers
import botocore.session

from worker.archive.errors import StorageRefused, StorageUnavailable
from worker.archive.storage.stores import endpoint, has_bucket_in_host, region
from worker.archive.threads import in_thread
from worker.domain.storage_url import StorageUrl

_STAGED: Final = re.compile(r"(?P<target>.+)#\d+")
"""obstore's name for the file that will become the target."""
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_LATER: Final = {408, 429}

_UNUSABLE: Final = (
    botocore.exceptions.BotoCoreError,
    botocore.parsers.ResponseParserError,
    KeyError,
    TypeError,
    ValueError,
    RecursionError,  # botocore asks for the region of a bucket again at each redirect
)
"""No answer, or one that is not a list of uploads."""

_Upload = dict[str, Any]
"""An entry of ListMultipartUploads."""


async def remove_abandoned(url: StorageUrl, key: str | None, started_before: datetime) -> int:
    """Remove them in a thread. Returns the number of uploads.

    Raises StorageRefused, StorageUnavailable or OSError.
    """
    if url.scheme == "s3":
        return await in_thread(_abort_s3, url, key, started_before)
    if url.scheme == "file":
        return await in_thread(_remove_staged, Path(url.prefix), key, started_before)
    return 0


def _abort_s3(url: StorageUrl, key: str | None, started_before: datetime) -> int:
    try:
        client = open_client(url)
        aborted = 0
        for upload in _uploads(client, url, key):
            if upload["Initiated"] < started_before:
                _abort(client, url, upload)
                aborted += 1
    except botocore.exceptions.ClientError as error:
        raise _client_error(error) from error
    except _UNUSABLE as error:
        message = f"the storage failed to list uploads: {type(error).__name__}"
        raise StorageUnavailable("storage_unavailable", message) from error
    return aborted


def open_client(url: StorageUrl) -> botocore.client.BaseClient:
    """botocore's client for the same endpoint, bucket and credentials as those of obstore."""
    named = endpoint(url)
    virtual = has_bucket_in_host()
    config = botocore.config.Config(
        connect_timeout=10,
        read_timeout=30,
        retries={"total_max_attempts": 2},
        s3={"addressing_style": "virtual" if virtual else "path"},
    )
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session.create_client(
        "s3",
        # botocore puts the bucket into the host itself.
        endpoint_url=named.replace(f"//{url.bucket}.", "//", 1) if named and virtual else named,
        region_name=region(),
        config=config,
        verify=os.environ.get("SSL_CERT_FILE"),
    )


@cache
def _loader() -> botocore.loaders.Loader:
    """botocore's descriptions of services, read once.

    Reading them takes most of the time of a new client, and no other thread runs meanwhile.
    """
    return botocore.session.Session().get_component("data_loader")


def _uploads(
    client: botocore.client.BaseClient, url: StorageUrl, key: str | None
) -> Iterator[_Upload]:
    """The unfinished uploads of one object, or of all below the prefix."""
    prefix = f"{url.prefix}/" if url.prefix else ""
    pages = client.get_paginator("list_multipart_uploads").paginate(
        Bucket=url.bucket, Prefix=prefix + (key or "")
    )
    for page in pages:
        for upload in page.get("Uploads", ()):
            if key is None or upload["Key"] == prefix + key:
                yield upload


def _abort(client: botocore.client.BaseClient, url: StorageUrl, upload: _Upload) -> None:
    try:
        client.abort_multipart_upload(
            Bucket=url.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    except client.exceptions.NoSuchUpload:  # it ended meanwhile
        return


def _client_error(error: botocore.exceptions.ClientError) -> StorageRefused | StorageUnavailable:
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    code = str(error.response["Error"].get("Code", ""))[:64]
    message = f"the storage failed to list uploads: HTTP {status}, {code}"
    if 300 <= status < 500 and status not in _LATER:
        return StorageRefused("storage_refused", message)
    return StorageUnavailable("storage_unavailable", message)


def _remove_staged(folder: Path, key: str | None, started_before: datetime) -> int:
    removed = 0
    for path in _staged(folder, key):
        if path.stat().st_mtime < started_before.timestamp():
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _staged(folder: Path, key: str | None) -> Iterator[Path]:
    """Unfinished files. Without a key, only those with names of recordings: others may be the
    user's."""
    target = None if key is None else folder / key
    paths = folder.rglob("*#*") if target is None else target.parent.glob("*#*")
    for path in paths:
        found = _STAGED.fullmatch(path.name)
        if not found or not path.is_file():
            continue
        name = found["target"]
        if _EXTENSION.search(name) if target is None else target == path.with_name(name):
            yield path
