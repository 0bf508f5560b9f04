"""What the examples of the messages have in common: one meeting, its recording, its people."""

from datetime import UTC, datetime
from typing import Final

from recording_schemas.event_parts import ParticipantInfo, ParticipantWithoutFile

MEETING: Final = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
SESSION: Final = "7d0f2a94-1f6c-4c0e-8f7b-3b9b5e0c6a12"
RECORDING: Final = "b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"
ALICE: Final = "aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05"
BOB: Final = "aaa2c4e6-8a0b-4c1d-9e2f-3a4b5c6d7e06"
START: Final = "weekly-2026-01-01-start"
PEER: Final = "c9e8d7b6-a504-4392-8170-6f5e4d3c2b07"
FILE: Final = f"weekly_sync_{ALICE}_{PEER}_peer_audio_1767261605000.webm"
METADATA: Final = {"case": "2026-0117", "team": "support"}
INVOKED: Final = datetime(2026, 1, 1, 10, 0, 0, tzinfo=UTC)
STARTED: Final = datetime(2026, 1, 1, 10, 0, 5, tzinfo=UTC)
STOPPED: Final = datetime(2026, 1, 1, 10, 30, 5, tzinfo=UTC)
UPLOADED: Final = datetime(2026, 1, 1, 10, 30, 40, tzinfo=UTC)

PARTICIPANT: Final = ParticipantInfo(
    user_id=ALICE,
    peer_id=PEER,
    custom_participant_id="alice@example.com",
    display_name="Alice",
    preset_name="group_call_host",
    joined_at=STARTED,
    left_at=STOPPED,
)
WITHOUT_FILE: Final = ParticipantWithoutFile(
    user_id=BOB,
    custom_participant_id="bob@example.com",
    joined=True,
)
