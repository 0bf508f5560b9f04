"""Keeps the files of track recordings that lists and webhooks show, until these are read."""

from typing import Final

import msgspec

from worker.domain.recording import Recording
from worker.domain.snapshot import RecordingSnapshot

MAX_BYTES: Final = 16_777_216
"""Enough for some thousand recordings, whose files have presigned URLs."""


class ShownFiles:
    """The last snapshot of each uploaded track recording whose files are shown, for one app.

    A recording whose snapshot is here needs no GET, only the participants of its session. Above
    `max_bytes` further snapshots are dropped: those recordings are read by a GET.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._encoded: dict[str, bytes] = {}

    def put(self, snapshot: RecordingSnapshot, known: Recording | None = None) -> None:
        """Keep the snapshot if it shows files of a track recording. `known` may give the kind."""
        kind = known.with_kind(snapshot).kind if known else snapshot.kind
        if not snapshot.files or kind != "track":
            return
        self.drop(snapshot.recording_id)
        encoded = msgspec.msgpack.encode(snapshot)
        if self._bytes + len(encoded) <= self._max_bytes:
            self._encoded[snapshot.recording_id] = encoded
            self._bytes += len(encoded)

    def take(self, recording_id: str) -> RecordingSnapshot | None:
        """Remove the recording's snapshot and return it; None if there is none."""
        encoded = self.drop(recording_id)
        return msgspec.msgpack.decode(encoded, type=RecordingSnapshot) if encoded else None

    def clear(self) -> None:
        """Remove all of them."""
        self._encoded.clear()
        self._bytes = 0

    def drop(self, recording_id: str) -> bytes | None:
        """Remove the recording's snapshot."""
        encoded = self._encoded.pop(recording_id, None)
        self._bytes -= len(encoded or b"")
        return encoded
