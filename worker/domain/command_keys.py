"""What a command is about: whom it keeps out, with whom it takes turns, what it passes on."""

from typing import Final

from msgspec import UNSET

from recording_schemas import Command, Kind, StartRecording, StartTrackRecording
from worker.domain.recording import StartContext

DEFAULT_APP: Final = "default"
"""The app of the plain settings; of several, the one that is meant when a command names none."""


def is_start(command: Command | None) -> bool:
    """Whether the command, executed twice, would make two recordings."""
    return isinstance(command, StartTrackRecording | StartRecording)


def slot_of(command: Command | None, app: str) -> str | None:
    """What only one start at a time may occupy: an app's meeting and a kind. None for others."""
    match command:
        case StartTrackRecording():
            return slot(app, command.meeting_id, "track")
        case StartRecording():
            return slot(app, command.meeting_id, "composite")
        case _:
            return None


def starts_of_meeting(command: Command | None, app: str) -> tuple[str, ...]:
    """The slots of the starts for which a command for a whole meeting has to wait."""
    meeting_id = None if is_start(command) else getattr(command, "meeting_id", None)
    if meeting_id is None:
        return ()
    return slot(app, meeting_id, "track"), slot(app, meeting_id, "composite")


def slot(app: str, meeting_id: str, kind: Kind) -> str:
    """What a start of this kind occupies in a meeting."""
    plain = f"{meeting_id.lower()}/{kind}"
    # The default app's stay as they were before there were others: replicas may be of both ages.
    return plain if app == DEFAULT_APP else f"{app}/{plain}"


def turns_of(command: Command, app: str | None) -> tuple[str, ...]:
    """What takes turns within one process: sendings of one id, and commands for one meeting."""
    mine = f"command/{command.id}"
    meeting_id = getattr(command, "meeting_id", None)
    return (mine, f"meeting/{app}/{meeting_id.lower()}") if meeting_id else (mine,)


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
    )
