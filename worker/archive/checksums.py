"""SHA-256 and size of a file's bytes, and the checksum that S3 must have for them.

S3 and compatible storages give an object the MD5 of its bytes as ETag. If it was uploaded in parts,
it is the MD5 of the parts' MD5s, with their number. Encryption by KMS gives other ETags. AWS also
keeps the SHA-256 of the bytes, or that of the parts' SHA-256s. HeadObject may return it with their
number.
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Final, Literal

PartHash = Literal["md5", "sha256"]


class Checksums:
    """Takes the bytes of a file in order. Use a thread: a MiB takes milliseconds.

    `part_hash` is the hash of each part in the storage's checksum. Without it, the storage's answer
    proves nothing. With MD5, `update` takes three times as long.
    """

    def __init__(self, part_bytes: int, *, part_hash: PartHash | None) -> None:
        self._part_bytes = part_bytes
        self.part_hash = part_hash
        self._sha256 = hashlib.sha256()
        self._part = _new(part_hash)
        self._free = part_bytes
        self._parts: list[bytes] = []
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self._sha256.update(chunk)
        if self.part_hash:
            self._update_parts(memoryview(chunk))

    def _update_parts(self, rest: memoryview) -> None:
        while len(rest) >= self._free:
            self._part.update(rest[: self._free])
            rest = rest[self._free :]
            self._parts.append(self._part.digest())
            self._part, self._free = _new(self.part_hash), self._part_bytes
        self._part.update(rest)
        self._free -= len(rest)

    @property
    def sha256(self) -> str:
        """The checksum of all bytes: 64 hex digits."""
        return self._sha256.hexdigest()

    def prove(self, reported: str | None) -> bool:
        """Whether a checksum proves that the storage has these bytes. If not, they must be read.

        `reported` is the ETag for MD5, and the checksum in base64 for SHA-256.
        """
        if not self.part_hash or reported is None:
            return False
        digest, _, count = reported.strip('"').partition("-")
        written = _WRITTEN[self.part_hash]
        parts = self._digests()
        joined = _new(self.part_hash)
        joined.update(b"".join(parts))
        if digest == written(joined.digest()):
            return count in ("", str(len(parts)))
        is_one_request = not count and len(parts) == 1
        return is_one_request and digest == written(parts[0])

    def _digests(self) -> list[bytes]:
        """The checksums of all parts, the last of which may be short."""
        is_begun = self._free < self._part_bytes
        return [*self._parts, self._part.digest()] if is_begun else list(self._parts)


def _in_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


_WRITTEN: Final[dict[PartHash, Callable[[bytes], str]]] = {
    "md5": bytes.hex,
    "sha256": _in_base64,
}


def _new(part_hash: PartHash | None) -> "hashlib._Hash":
    return hashlib.sha256() if part_hash == "sha256" else hashlib.md5(usedforsecurity=False)
