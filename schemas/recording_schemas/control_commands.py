"""The commands about recordings that exist already, or whose start was sent."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from recording_schemas.command_base import CommandBase
from recording_schemas.rules import RuleBroken
from recording_schemas.values import CommandId, Kind, Uuid


class Targeted(CommandBase, frozen=True, kw_only=True):
    """A command about existing recordings. Exactly one of three fields names them.

    `recording_id` names one recording. `start_id` is the `id` of the start command. `meeting_id`
    means all live recordings of the meeting, or those of one `kind`. Null means not given.
    """

    schema_rules: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("recording_id", "start_id", "meeting_id")
        ],
        "if": {"required": ["kind"], "properties": {"kind": {"type": "string"}}},
        "then": {"required": ["meeting_id"], "properties": {"meeting_id": {"type": "string"}}},
    }

    recording_id: Annotated[
        Uuid | None,
        Meta(
            description="The recording: the API's id, a UUID. Null counts as absent.",
            examples=["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"],
        ),
    ] = None
    start_id: Annotated[
        CommandId | None,
        Meta(
            description="The `id` of the command that started the recording, also if that "
            "command arrives later. If it does not arrive, the command has no outcome for "
            "`WORKER_STOP_WAIT_SECONDS` (300), and then fails as `start_unknown`. Null counts "
            "as absent.",
            examples=["weekly-2026-01-01-start"],
        ),
    ] = None
    meeting_id: Annotated[
        Uuid | None,
        Meta(
            description="All live recordings of this meeting, also those that other programs "
            "started. Null counts as absent.",
            examples=["2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"],
        ),
    ] = None
    kind: Annotated[
        Kind | None,
        Meta(
            description="Only the recordings of this kind; it goes only with `meeting_id`. "
            "Null and absent mean both kinds.",
            examples=["track"],
        ),
    ] = None

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        targets = (self.recording_id, self.start_id, self.meeting_id)
        target_count = sum(target is not None for target in targets)
        if target_count != 1:
            raise RuleBroken(
                "conflicting_fields" if target_count else "missing_field",
                None,
                "exactly one of `recording_id`, `start_id` and `meeting_id` must be given",
            )
        if self.kind is not None and self.meeting_id is None:
            raise RuleBroken("conflicting_fields", "kind", "goes only with `meeting_id`")


class StopRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="stop_recording",
):
    """Stop recordings. Safe at any time, even before the start was executed."""


class PauseRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="pause_recording",
):
    """Pause recordings."""


class ResumeRecording(
    Targeted,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="resume_recording",
):
    """Resume paused recordings."""


class SyncRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="sync_recording",
):
    """Read a recording now, publish its changes, and track it if it was not tracked.

    Late files are published, and so is each file's URL if it was signed again.
    """

    recording_id: Annotated[
        Uuid,
        Meta(
            description="The recording to read again: the API's id, a UUID. The worker need "
            "not know it.",
            examples=["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"],
        ),
    ]


class ArchiveRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="archive_recording",
):
    """Read a recording again, and copy all its files to the archive, even those that are there.

    The command succeeds when the files are queued. Each copy is announced by an event with a new
    id.
    """

    recording_id: Annotated[
        Uuid,
        Meta(
            description="The recording whose files to archive: the API's id, a UUID.",
            examples=["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"],
        ),
    ]


class ReplayRecording(
    CommandBase,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="replay_recording",
):
    """Publish the kept events of a recording again, in order and with their ids.

    Exactly one of `recording_id` and `start_id` (the `id` of the start command) names it. If the
    message has a `reply_to`, the events go only there. No request goes to the API. Null means not
    given.
    """

    schema_rules: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "string"}}}
            for name in ("recording_id", "start_id")
        ],
    }

    recording_id: Annotated[
        Uuid | None,
        Meta(
            description="The recording whose events to publish again: the API's id, a UUID. "
            "Null counts as absent.",
            examples=["b3a4d7e2-90c1-4d4f-a1c6-5e2f7a8b9c03"],
        ),
    ] = None
    start_id: Annotated[
        CommandId | None,
        Meta(
            description="The `id` of the command that started the recording. Null counts as "
            "absent.",
            examples=["weekly-2026-01-01-start"],
        ),
    ] = None

    def __post_init__(self) -> None:
        CommandBase.__post_init__(self)
        if (self.recording_id is None) == (self.start_id is None):
            raise RuleBroken(
                "missing_field" if self.recording_id is None else "conflicting_fields",
                None,
                "exactly one of `recording_id` and `start_id` must be given",
            )
