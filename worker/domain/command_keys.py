"""The keys of a command, and what its recordings inherit from it. Pure."""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from recording_schemas import (
    AudioConfig,
    Command,
    Kind,
    Media,
    StartRecording,
    StartTrackRecording,
    StopRecording,
    VideoConfig,
)
from worker.domain.recording import StartContext

KINDS: Final[tuple[Kind, ...]] = ("track", "composite")

StartState = Literal["pending", "cancelled", "done"]
"""Of a start that came: it may be executed yet, a stop cancelled it and it never will be, or it has
ended. A start that a stop cancelled and that was executed all the same has a recording."""

DEFAULT_APP: Final = "default"
"""The app of the plain settings. Among several apps it is the one of commands that name none."""


def is_start(command: Command | None) -> bool:
    """Whether executing the command twice would make two recordings."""
    return isinstance(command, StartTrackRecording | StartRecording)


class CommandKeys(msgspec.Struct, frozen=True, kw_only=True):
    """What a command is about: what it excludes, what it waits for, what it acts on.

    `app` is None when the command names an app that is not configured. `slot` is what only one
    start at a time may occupy; `rivals` are the slots of starts that a command for a whole meeting
    waits for. `cancels_starts` is set for a stop. `locks` are taken one by one within the process:
    repeats of one id take turns, and so do the commands of one meeting.
    """

    command_id: str
    command_type: str
    app: str | None = None
    slot: str | None = None
    rivals: tuple[str, ...] = ()
    cancels_starts: bool = False
    start_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None

    @property
    def locks(self) -> tuple[str, ...]:
        """The names of the locks, in the order in which they are to be taken."""
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
        start_id=getattr(command, "start_id", None),
        meeting_id=meeting_id,
        recording_id=getattr(command, "recording_id", None),
    )


def is_slot_of_app(slot: str, app: str) -> bool:
    """Whether a start of this slot is for this app."""
    return slot.count("/") == 1 if app == DEFAULT_APP else slot.startswith(f"{app}/")


def start_slot(app: str, meeting_id: str, kind: Kind) -> str:
    """What a start of this kind occupies in a meeting."""
    plain = f"{meeting_id.lower()}/{kind}"
    # The default app has no prefix, because databases from before there were apps have none.
    return plain if app == DEFAULT_APP else f"{app}/{plain}"


def start_context_of(
    command: Command, *, correlation_id: str | None, trace: dict[str, str]
) -> StartContext:
    """What the recordings of a start command inherit from it."""
    prefix: str | None = None
    user_ids: tuple[str, ...] = ()
    if isinstance(command, StartTrackRecording):
        layer = command.layers.default if command.layers else UNSET
        prefix = (layer.file_name_prefix or None) if layer else None
        user_ids = command.user_ids or ()
    return StartContext(
        start_id=command.id,
        correlation_id=correlation_id,
        trace=trace,
        file_name_prefix=prefix,
        user_ids=user_ids,
        media=_media_of(command) if isinstance(command, StartRecording) else (),
        has_secrets=_has_secrets(command),
    )


def _media_of(command: StartRecording) -> tuple[Media, ...]:
    """The files that a composite leaves. The API exports each media unless the start forbids it."""
    configs: tuple[tuple[Media, AudioConfig | VideoConfig | UnsetType], ...] = (
        ("video", command.video_config),
        ("audio", command.audio_config),
    )
    return tuple(
        media for media, config in configs if not config or config.export_file is not False
    )


def _has_secrets(command: Command) -> bool:
    fields = ("storage_config", "storage_profile", "rtmp_out_config")
    return any(getattr(command, field, None) not in (None, UNSET) for field in fields)
