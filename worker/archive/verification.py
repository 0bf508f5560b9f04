"""Reads objects of the archive back, and compares them with the archived files."""

import hashlib
from typing import Final, Literal

import msgspec

from recording_schemas import Manifest
from worker.archive.errors import ObjectMissing, StorageRefused
from worker.archive.storage import ArchiveStorage
from worker.domain.archive import CopiedFile

Result = Literal["ok", "missing", "differs", "refused", "unreadable", "elsewhere"]

MAX_MANIFEST_BYTES: Final = 64 * 1024 * 1024


class Verified(msgspec.Struct, frozen=True):
    """One object, compared with the archived file. `result` is one of:

    ok         the object is as it was archived
    missing    the storage has no such object
    differs    its size or its content is another
    refused    the storage refuses to read it
    unreadable the storage failed
    elsewhere  it is not below the URL of this archive
    """

    result: Result
    detail: str | None = None


OK: Final = Verified("ok")


async def verify_copy(storage: ArchiveStorage, copied: CopiedFile) -> Verified:
    """Compare an object's size and SHA-256. Raises StorageUnavailable."""
    key = storage.key_of(copied.archive_url)
    if key is None:
        return _elsewhere(copied.archive_url)
    size, digest = 0, hashlib.sha256()
    try:
        async for block in storage.read(key):
            size += len(block)
            digest.update(block)
            if size > copied.size_bytes:
                return Verified("differs", f"it has more than {copied.size_bytes} bytes")
    except StorageRefused as error:
        return _refusal(error)
    if size != copied.size_bytes:
        return Verified("differs", f"it has {size} bytes instead of {copied.size_bytes}")
    if digest.hexdigest() != copied.sha256:
        return Verified("differs", f"its SHA-256 is {digest.hexdigest()}, not {copied.sha256}")
    return OK


async def verify_manifest(
    storage: ArchiveStorage, manifest_url: str, checksums: tuple[str, ...]
) -> Verified:
    """Check that a manifest can be read and has these checksums. Raises StorageUnavailable."""
    key = storage.key_of(manifest_url)
    if key is None:
        return _elsewhere(manifest_url)
    body = bytearray()
    try:
        async for block in storage.read(key):
            body += block
            if len(body) > MAX_MANIFEST_BYTES:
                return Verified("differs", f"it has more than {MAX_MANIFEST_BYTES} bytes")
    except StorageRefused as error:
        return _refusal(error)
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except (ValueError, RecursionError) as error:
        return Verified("differs", f"it is no manifest: {error}")
    unnamed = set(checksums) - {file.sha256 for file in manifest.files}
    return Verified("differs", f"it lacks {len(unnamed)} archived files") if unnamed else OK


def _elsewhere(url: str) -> Verified:
    return Verified("elsewhere", f"{url} is not below WORKER_ARCHIVE_URL")


def _refusal(error: StorageRefused) -> Verified:
    return Verified("missing" if isinstance(error, ObjectMissing) else "refused", error.message)
