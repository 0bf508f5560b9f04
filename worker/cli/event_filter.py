"""Which events somebody wants to see."""

from collections.abc import Sequence

import click
import msgspec

from recording_schemas import EVENT_TYPES, CloudEvent, CommandSucceeded


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What an event must be about; None and an empty `types` mean anything.

    A type covers those that begin with it and a dot: `recording.file_ready` all its versions,
    `command` every outcome.
    """

    meeting_id: str | None = None
    recording_id: str | None = None
    types: tuple[str, ...] = ()

    def matches(self, event: CloudEvent) -> bool:
        """Whether the event is among them. An outcome names no meeting."""
        if self.types and not any(_covers(wanted, event.type) for wanted in self.types):
            return False
        if self.meeting_id is not None:
            meeting_id = getattr(event.data, "meeting_id", None)
            if meeting_id is None or meeting_id.lower() != self.meeting_id.lower():
                return False
        return self.recording_id is None or self.recording_id in _recordings(event)


def require_known_types(types: Sequence[str]) -> None:
    """Raises click.UsageError for a type that no event has."""
    known = list(EVENT_TYPES.values())
    for wanted in types:
        if not any(_covers(wanted, each) for each in known):
            raise click.UsageError(
                f"--type: no event is a {wanted!r}; there are {', '.join(known)}"
            )


def _covers(wanted: str, found: str) -> bool:
    return found == wanted or found.startswith(f"{wanted}.")


def _recordings(event: CloudEvent) -> tuple[str, ...]:
    if isinstance(event.data, CommandSucceeded):
        return event.data.recording_ids
    return (getattr(event.data, "recording_id", ""),)
