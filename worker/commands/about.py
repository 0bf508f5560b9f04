"""What a command is about: whom it keeps out, with whom it takes turns, what it passes on."""

from msgspec import UNSET

from recording_schemas import Command, StartRecording, StartTrackRecording
from worker.recording import Origin


def slot_of(command: Command | None) -> str | None:
    """What only one start at a time may occupy: a meeting and a kind. None for other commands."""
    match command:
        case StartTrackRecording():
            return f"{command.meeting_id.lower()}/track"
        case StartRecording():
            return f"{command.meeting_id.lower()}/composite"
        case _:
            return None


def turns_of(command: Command) -> tuple[str, ...]:
    """What takes turns within one process: sendings of one id, and commands for one meeting."""
    mine = f"command/{command.id}"
    meeting_id = getattr(command, "meeting_id", None)
    return (mine, f"meeting/{meeting_id.lower()}") if meeting_id else (mine,)


def origin_of(command: Command, *, correlation_id: str | None, trace: dict[str, str]) -> Origin:
    """What the recordings of a start command inherit from it."""
    prefix: str | None = None
    user_ids: tuple[str, ...] = ()
    if isinstance(command, StartTrackRecording):
        layer = command.layers.default if command.layers else UNSET
        prefix = (layer.file_name_prefix or None) if layer else None
        user_ids = command.user_ids or ()
    return Origin(
        start_id=command.id,
        correlation_id=correlation_id,
        trace=trace,
        file_name_prefix=prefix,
        user_ids=user_ids,
    )
