"""SHA-256 and size of the bytes that pass, and the ETag that S3 must have for them.

S3 and its kin give an object the MD5 of its bytes as ETag. If it was uploaded in parts, it is the
MD5 of the parts' MD5s, with their number. Encryption by KMS gives other ETags.
"""

import hashlib


class Checksums:
    """Takes the bytes of a file in order. Use a thread: a MiB takes milliseconds.

    Without `etag`, no ETag proves anything, and `update` takes a third of the time.
    """

    def __init__(self, part_bytes: int, *, etag: bool = True) -> None:
        self._part_bytes = part_bytes
        self._etag = etag
        self._sha256 = hashlib.sha256()
        self._part = _md5()
        self._free = part_bytes
        self._parts: list[bytes] = []
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self._sha256.update(chunk)
        if self._etag:
            self._update_parts(memoryview(chunk))

    def _update_parts(self, rest: memoryview) -> None:
        while len(rest) >= self._free:
            self._part.update(rest[: self._free])
            rest = rest[self._free :]
            self._parts.append(self._part.digest())
            self._part, self._free = _md5(), self._part_bytes
        self._part.update(rest)
        self._free -= len(rest)

    @property
    def sha256(self) -> str:
        """The checksum of all bytes: 64 hex digits."""
        return self._sha256.hexdigest()

    def prove(self, etag: str | None) -> bool:
        """Whether an ETag proves that the storage has these bytes. If not, they must be read."""
        if not self._etag or etag is None:
            return False
        return etag.strip('"') in {self._whole_etag(), self._parts_etag()}

    def _whole_etag(self) -> str | None:
        """The ETag after an upload in one request. None if the bytes are more than one part."""
        if not self._parts:
            return self._part.hexdigest()
        only = len(self._parts) == 1 and self.size == self._part_bytes
        return self._parts[0].hex() if only else None

    def _parts_etag(self) -> str:
        parts = list(self._parts)
        if self._free < self._part_bytes:
            parts.append(self._part.digest())
        joined = hashlib.md5(b"".join(parts), usedforsecurity=False)
        return f"{joined.hexdigest()}-{len(parts)}"


def _md5() -> "hashlib._Hash":
    return hashlib.md5(usedforsecurity=False)
