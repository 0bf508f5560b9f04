"""The keys of a command, and the context that its recordings inherit. Pure."""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from recording_schemas import (
    COMMAND_TYPES,
    AudioConfig,
    Command,
    Kind,
    Media,
    ReplayRecording,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    VideoConfig,
)
from worker.domain.command_digest import command_digest
from worker.domain.recording import StartContext
from worker.domain.snapshot import RecordingSnapshot

KINDS: Final[tuple[Kind, ...]] = ("track", "composite")

StartState = Literal["pending", "cancelled", "done"]
"""The state of a start command that arrived.

    pending    it may still be executed
    cancelled  a stop cancelled it before the API executed it
    done       it has ended in another way. If the API executed it, it has a recording.
"""

DEFAULT_APP: Final = "default"
"""The app of the plain settings. If there are several apps, commands without an app are for it."""


START_COMMANDS: Final = (StartTrackRecording, StartRecording)
"""The commands that create a recording each time they are executed."""

START_TYPES: Final = frozenset(
    command_type for command_type, struct in COMMAND_TYPES.items() if struct in START_COMMANDS
)


def is_start(command: Command) -> bool:
    """Whether executing the command twice would create two recordings."""
    return isinstance(command, START_COMMANDS)


def metadata_of(command: Command) -> dict[str, str] | None:
    """The publisher's own metadata. Only starts have some."""
    return command.metadata if isinstance(command, START_COMMANDS) else None


def waits_for_session(command: Command) -> bool:
    """Whether the command is a start that waits until its meeting's session begins."""
    return getattr(command, "wait_for_session", False) is True


def holds_secrets(command: Command) -> bool:
    """Whether the message of the command has secrets in clear, which the store must not contain."""
    return _has(command, "storage_config") or _has(command, "rtmp_out_config")


def _has(command: Command, field: str) -> bool:
    return getattr(command, field, None) not in (None, UNSET)


class CommandKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of a command, and the starts that it excludes, cancels or waits for.

    `app` is None if the command names an app that is not configured. A start has a `slot`, which
    only one start at a time may occupy. A command for a whole meeting has `rivals`: the slots of
    the starts that it waits for. `cancels_starts` is set for a stop. `uses_api` is false for a
    command that makes no request to the API. `locks` are acquired in order within the process, so
    repeats of one id are executed one at a time, and so are the commands of one meeting. `digest`:
    see `command_digest`.
    """

    command_id: str
    command_type: str
    app: str | None = None
    slot: str | None = None
    rivals: tuple[str, ...] = ()
    cancels_starts: bool = False
    uses_api: bool = True
    start_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    digest: str | None

    @property
    def locks(self) -> tuple[str, ...]:
        """The names of the locks, in the order in which they must be taken."""
        own = f"command/{self.command_id}"
        if self.meeting_id is None:
            return (own,)
        return own, f"meeting/{self.app}/{self.meeting_id.lower()}"


def command_keys(command: Command, app: str | None) -> CommandKeys:
    """The keys of a command that is for this app."""
    meeting_id = getattr(command, "meeting_id", None)
    slot: str | None = None
    rivals: tuple[str, ...] = ()
    if app is not None and meeting_id is not None:
        match command:
            case StartTrackRecording():
                slot = start_slot(app, meeting_id, "track")
            case StartRecording():
                slot = start_slot(app, meeting_id, "composite")
            case _:
                kind: Kind | None = getattr(command, "kind", None)
                kinds = (kind,) if kind else KINDS
                rivals = tuple(start_slot(app, meeting_id, kind) for kind in kinds)
    return CommandKeys(
        command_id=command.id,
        command_type=command.command_type,
        app=app,
        slot=slot,
        rivals=rivals,
        cancels_starts=isinstance(command, StopRecording),
        uses_api=not isinstance(command, ReplayRecording),
        start_id=getattr(command, "start_id", None),
        meeting_id=meeting_id,
        recording_id=getattr(command, "recording_id", None),
        digest=command_digest(command),
    )


def is_slot_of_app(slot: str, app: str) -> bool:
    """Whether a start of this slot is for this app."""
    return slot.count("/") == 1 if app == DEFAULT_APP else slot.startswith(f"{app}/")


def start_slot(app: str, meeting_id: str, kind: Kind) -> str:
    """The slot that a start of this kind occupies in a meeting."""
    plain = f"{meeting_id.lower()}/{kind}"
    # The default app has no prefix, because older databases have none.
    return plain if app == DEFAULT_APP else f"{app}/{plain}"


def slots_of_recording(app: str, snapshot: RecordingSnapshot) -> list[str]:
    """The slots of the starts that may have begun this recording. Empty if its meeting is unknown,
    or if no command began it."""
    if snapshot.meeting_id is None or snapshot.start_reason == "RECORD_ON_START":
        return []
    certain = None if snapshot.kind_is_guessed else snapshot.kind
    kinds = KINDS if certain is None else (certain,)
    return [start_slot(app, snapshot.meeting_id, kind) for kind in kinds]


def start_context_of(
    command: Command, *, correlation_id: str | None, trace: dict[str, str]
) -> StartContext:
    """The context that the recordings of a start command inherit from it."""
    prefix: str | None = None
    user_ids: tuple[str, ...] = ()
    max_seconds: int | None = None
    if isinstance(command, StartTrackRecording):
        layer = command.layers.default if command.layers else UNSET
        prefix = (layer.file_name_prefix or None) if layer else None
        user_ids = command.user_ids or ()
        max_seconds = command.max_seconds or None
    return StartContext(
        start_id=command.id,
        correlation_id=correlation_id,
        trace=trace,
        file_name_prefix=prefix,
        user_ids=user_ids,
        media=_media_of(command) if isinstance(command, StartRecording) else (),
        has_secrets=holds_secrets(command) or _has(command, "storage_profile"),
        max_seconds=max_seconds,
        metadata=metadata_of(command),
    )


def _media_of(command: StartRecording) -> tuple[Media, ...]:
    """The files of a composite. The API exports each media unless the start forbids it."""
    configs: tuple[tuple[Media, AudioConfig | VideoConfig | UnsetType], ...] = (
        ("video", command.video_config),
        ("audio", command.audio_config),
    )
    return tuple(
        media for media, config in configs if not config or config.export_file is not False
    )
