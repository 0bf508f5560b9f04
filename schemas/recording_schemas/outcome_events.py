"""The outcomes of commands. Each command id gets exactly one."""

from typing import Annotated

import msgspec
from msgspec import Meta

from recording_schemas.event_fields import (
    Attempts,
    CommandIdText,
    CommandTypeText,
    ErrorCodeText,
    ErrorMessage,
    OutcomeMetadata,
    RecordingId,
)
from recording_schemas.event_parts import ErrorInfo


class CommandSucceeded(msgspec.Struct, frozen=True, kw_only=True):
    """The command was executed."""

    command_id: CommandIdText
    command_type: CommandTypeText
    recording_ids: Annotated[
        tuple[RecordingId, ...],
        Meta(
            description="Every recording that the command acted on, over all its attempts. Empty "
            "if a stop cancelled a start that was never sent.",
            examples=[["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"]],
        ),
    ]
    metadata: OutcomeMetadata


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The command is wrong, or the API refused it permanently.

    A corrected command needs a new `id`.
    """

    command_id: CommandIdText
    command_type: CommandTypeText
    code: ErrorCodeText
    message: ErrorMessage
    field: Annotated[
        str | None,
        Meta(
            description="The place of the fault in the command, as a path. Null if no single field "
            "is at fault.",
            examples=["layers.default.media_kind", "user_ids[0]"],
        ),
    ]
    http_status: Annotated[
        int | None,
        Meta(
            description="The HTTP status of the API's answer. Null if the worker refused the "
            "command itself.",
            examples=[409],
        ),
    ]
    metadata: OutcomeMetadata


class CommandExpired(msgspec.Struct, frozen=True, kw_only=True):
    """The deadline passed before the command could be executed."""

    command_id: CommandIdText
    command_type: CommandTypeText
    attempts: Attempts
    metadata: OutcomeMetadata


class CommandFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The command was right, and the worker gave up on it.

    It gives up after `WORKER_COMMAND_MAX_AGE_SECONDS` (3600), or after a shorter time that depends
    on the code. A stop by an unknown `start_id` has no outcome for `WORKER_STOP_WAIT_SECONDS`
    (300), and then fails as `start_unknown`.
    """

    command_id: CommandIdText
    command_type: CommandTypeText
    attempts: Attempts
    last_error: Annotated[
        ErrorInfo,
        Meta(
            description="The error of the last attempt, or the reason to give up.",
            examples=[{"code": "server_error", "message": "the API responded with status 503"}],
        ),
    ]
    metadata: OutcomeMetadata
