"""The bytes of a file, made while they are read, so that a large file takes no memory."""

import hashlib
import struct
from collections.abc import Iterator
from functools import cache
from random import Random

import msgspec

from recording_sandbox.model import media
from recording_sandbox.model.recording import File

CHUNK_BYTES = 262_144
_PADDED = ("webm", "mp4")
_PACKET = b"\xf8\xff\xfe"


class FileContent(msgspec.Struct, frozen=True):
    """A file that plays, then `padding` bytes that players skip. Each version has other bytes."""

    head: bytes
    padding: int = 0
    version: int = 0

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self.head) + self.padding

    @property
    def etag(self) -> str:
        """The entity tag, quoted. It differs whenever the bytes differ."""
        digest = hashlib.sha256(b"%d %d " % (self.padding, self.version) + self.head)
        return f'"{digest.hexdigest()[:32]}"'

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` up to, without, `stop`, in chunks of at most `CHUNK_BYTES`."""
        at = start
        while at < stop:
            piece = self._piece(at)[: stop - at]
            yield piece
            at += len(piece)

    def _piece(self, at: int) -> bytes:
        """The bytes from `at` up to the end of their chunk."""
        if at < len(self.head):
            return self.head[at : at + CHUNK_BYTES]
        number, offset = divmod(at - len(self.head), CHUNK_BYTES)
        mark = struct.pack(">QQ", self.version, number)
        return (mark + _noise())[offset : self.size - at + offset]


def file_content(file: File, version: int = 0) -> FileContent:
    """The content of a file. Its size is the configured one, or the minimum for a playable file."""
    head = media.content(file.name, file.seconds, live=file.live)
    if file.size_bytes and media.suffix(file.name) in _PADDED:
        overhead = len(media.content(file.name, file.seconds, live=file.live, padding=1)) - len(
            head
        )
        padding = file.size_bytes - len(head) - overhead
        if padding > 0:
            head = media.content(file.name, file.seconds, live=file.live, padding=padding)
            return FileContent(_changed(head, version), padding, version)
    return FileContent(_changed(head, version), 0, version)


def _changed(head: bytes, version: int) -> bytes:
    """The bytes with another end of the last packet, so that the file still plays."""
    if not version:
        return head
    at = head.rfind(_PACKET)
    at = len(head) - 1 if at < 0 else at + len(_PACKET) - 1
    return head[:at] + bytes([head[at] ^ (version % 255 + 1) & 0xFF]) + head[at + 1 :]


@cache
def _noise() -> bytes:
    """What compression and repetition cannot shorten; with its mark one chunk long."""
    return Random(0).randbytes(CHUNK_BYTES - 16)
