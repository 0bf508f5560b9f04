"""The fields that several events have, each with its meaning and an example."""

from typing import Annotated

from msgspec import Meta

from recording_schemas.error_codes import CODE_PATTERN, codes_of
from recording_schemas.values import Count, Kind, Media, Metadata, ObservedBy, Status, Time

RecordingId = Annotated[
    str,
    Meta(
        description="The API's id of the recording, a UUID.",
        examples=["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"],
    ),
]
MeetingId = Annotated[
    str | None,
    Meta(
        description="The API's id of the meeting. Null if another program started the recording "
        "and the API does not name its meeting.",
        examples=["2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"],
    ),
]
SessionId = Annotated[
    str | None,
    Meta(
        description="The API's id of the meeting's session. Null until the API reports it.",
        examples=["7d0f2a94-1f6c-4c0e-8f7b-3b9b5e0c6a12"],
    ),
]
RecordingKind = Annotated[
    Kind,
    Meta(
        description="`track`: one audio file for each participant. `composite`: one mixed file.",
        examples=["track"],
    ),
]
RecordingStatus = Annotated[
    Status,
    Meta(
        description="The status of the recording after this event. UPLOADED and ERRORED are final.",
        examples=["UPLOADED"],
    ),
]
Duration = Annotated[
    Count | None,
    Meta(
        description="The length of the recording in whole seconds, as the API reports it. Null "
        "until it does.",
        examples=[1800],
    ),
]
StartId = Annotated[
    str | None,
    Meta(
        description="The `id` of the command that started the recording. Null if another program "
        "started it.",
        examples=["weekly-2026-01-01-start"],
    ),
]
RecordingMetadata = Annotated[
    Metadata | None,
    Meta(
        description="The `metadata` of the start command, unchanged. Null if it had none.",
        examples=[{"case": "2026-0117", "team": "support"}],
    ),
]
UserId = Annotated[
    str | None,
    Meta(
        description="RealtimeKit's participant id. Null if the owner is not certain.",
        examples=["aaab7c10-5d2e-4b7a-8c3f-1e9d0f2a4b05"],
    ),
]
PeerId = Annotated[
    str | None,
    Meta(
        description="The id of one stay in the session. A person who joins again has another. Null "
        "if it is not certain.",
        examples=["c9e8d7b6-a504-4392-8170-6f5e4d3c2b07"],
    ),
]
CustomParticipantId = Annotated[
    str | None,
    Meta(
        description="The id that your application gave the participant. It comes from the API and "
        "is never guessed. Null if the API names none.",
        examples=["alice@example.com"],
    ),
]
LearntBy = Annotated[
    ObservedBy,
    Meta(
        description="Where the worker learnt of the status first: the answer to a `command`, a "
        "`webhook` of the API, or a `sweep` of its list.",
        examples=["webhook"],
    ),
]
ObservedAt = Annotated[
    Time,
    Meta(
        description="When the worker learnt of the status, RFC 3339.",
        examples=["2026-01-01T10:30:40Z"],
    ),
]
InvokedTime = Annotated[
    Time | None,
    Meta(
        description="When the API took the start, RFC 3339. Null until the API reports it.",
        examples=["2026-01-01T10:00:00Z"],
    ),
]
StartedTime = Annotated[
    Time | None,
    Meta(
        description="When the recording began, RFC 3339. Null until the API reports it.",
        examples=["2026-01-01T10:00:05Z"],
    ),
]
StoppedTime = Annotated[
    Time | None,
    Meta(
        description="When the recording stopped, RFC 3339. Null until the API reports it.",
        examples=["2026-01-01T10:30:05Z"],
    ),
]
StartReason = Annotated[
    str | None,
    Meta(
        description="The API's reason for the start, such as API_CALL or RECORD_ON_START. Null "
        "if it gives none.",
        examples=["API_CALL"],
    ),
]
StopReason = Annotated[
    str | None,
    Meta(
        description="The API's reason for the stop, such as API_CALL, ALL_PEERS_LEFT or "
        "INTERNAL_ERROR. Null if it gives none.",
        examples=["ALL_PEERS_LEFT"],
    ),
]
FileName = Annotated[
    str,
    Meta(
        description="The name of the file. It is unique within the recording.",
        examples=["weekly_sync_aaab7c10-…_c9e8d7b6-…_peer_audio_1767261605000.webm"],
    ),
]
MediaKind = Annotated[
    Media,
    Meta(description="Whether the file has sound only, or pictures.", examples=["audio"]),
]
Layer = Annotated[
    str | None,
    Meta(
        description="The layer of a track recording. Null for composites.",
        examples=["default"],
    ),
]
StreamKind = Annotated[
    str | None,
    Meta(
        description="The stream that was recorded, from the file name, such as `peer`. Null "
        "for composites, and if the name does not say.",
        examples=["peer"],
    ),
]
RecordedAt = Annotated[
    Time | None,
    Meta(
        description="When the file begins, RFC 3339, from the file name. Null if the name does "
        "not say.",
        examples=["2026-01-01T10:00:05Z"],
    ),
]
FileIndex = Annotated[
    int,
    Meta(description="The number of the file in its recording, from 1.", examples=[1]),
]
ErrorCodeText = Annotated[
    str,
    Meta(
        description="A slug for programs, with a section in the reference of error "
        "codes. Later versions may add codes, so accept one that you do not know.",
        examples=codes_of("rejected", "failed", "errored", "archive"),
        extra_json_schema={"pattern": CODE_PATTERN},
    ),
]
ErrorMessage = Annotated[
    str,
    Meta(
        description="A sentence for users: it names the field, or has the API's own text. In "
        "outcomes it ends with the document that explains the code. Do not let programs read it.",
        examples=["the API responded with status 503"],
    ),
]
CommandIdText = Annotated[
    str,
    Meta(
        description="The `id` of the command, which is its idempotency key. Every repeat of it "
        "gets this outcome again, with the same event id, for any body of the repeat.",
        examples=["weekly-2026-01-01-start"],
    ),
]
CommandTypeText = Annotated[
    str,
    Meta(
        description="The `type` of the command. It is `unknown` if the message has no readable "
        "type.",
        examples=["start_track_recording"],
    ),
]
OutcomeMetadata = Annotated[
    Metadata | None,
    Meta(
        description="The `metadata` of a start command, unchanged. Null if the start had none, and "
        "for other commands.",
        examples=[{"case": "2026-0117", "team": "support"}],
    ),
]
Attempts = Annotated[
    Count,
    Meta(
        description="How many attempts the worker made at the command. 0 if it ended before the "
        "first one.",
        examples=[3],
    ),
]
