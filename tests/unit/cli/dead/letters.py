"""Makes dead letters for the tests of `dead`."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from worker.broker.admin.dead_letter import DeadLetter
from worker.broker.admin.dead_letter_reason import DeadLetterReason
from worker.cli.dead.letter import DecodedLetter, decode_letter

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
RECORDING = "97f1f6a2-1111-4222-8333-944455556666"
SYNC = msgspec.json.encode({"type": "sync_recording", "id": "one", "recording_id": RECORDING})


def letter(body: bytes = SYNC, *, max_bytes: int = 1000, **fields: Any) -> DecodedLetter:
    """A letter with this body; `fields` are those of its reason and of the letter itself."""
    reason = DeadLetterReason(
        by=fields.pop("by", "worker"),
        code=fields.pop("code", "crashed"),
        first_seen=fields.pop("first_seen", None),
        last_seen=fields.pop("last_seen", None),
    )
    defaults: dict[str, Any] = {"position": 1, "tag": 1, "routing_key": "key"}
    return decode_letter(DeadLetter(body=body, reason=reason, **{**defaults, **fields}), max_bytes)
