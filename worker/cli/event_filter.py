"""Selects the events that `tail` shows."""

from collections.abc import Sequence

import click
import msgspec

from recording_schemas import EVENT_TYPES, CloudEvent, CommandSucceeded
from worker.domain.short_ids import stands_for


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects events by meeting, recording and type. None, or no type, matches any event.

    Short ids of meetings and recordings match every id that they abbreviate.

    A type also matches the longer types that begin with it and a dot: `recording.file_ready`
    matches all its versions, `command` every outcome.
    """

    meeting_id: str | None = None
    recording_id: str | None = None
    types: tuple[str, ...] = ()

    def matches(self, event: CloudEvent) -> bool:
        """Whether the event is selected. An outcome names no meeting, so it matches none."""
        return (
            self._matches_type(event)
            and self._matches_meeting(event)
            and (
                self.recording_id is None
                or any(_is(self.recording_id, known) for known in _recording_ids(event))
            )
        )

    def _matches_type(self, event: CloudEvent) -> bool:
        return not self.types or any(_accepts(prefix, event.type) for prefix in self.types)

    def _matches_meeting(self, event: CloudEvent) -> bool:
        if self.meeting_id is None:
            return True
        meeting_id = getattr(event.data, "meeting_id", None)
        return meeting_id is not None and _is(self.meeting_id.lower(), meeting_id.lower())


def require_known_types(types: Sequence[str]) -> None:
    """Raise click.UsageError for a type that no event has."""
    known_types = list(EVENT_TYPES.values())
    for prefix in types:
        if not any(_accepts(prefix, known) for known in known_types):
            raise click.UsageError(
                f"--type: no event has the type {prefix!r}; the types are {', '.join(known_types)}"
            )


def _is(text: str, whole_id: str) -> bool:
    return text == whole_id or stands_for(text, whole_id)


def _accepts(prefix: str, event_type: str) -> bool:
    return event_type == prefix or event_type.startswith(f"{prefix}.")


def _recording_ids(event: CloudEvent) -> tuple[str, ...]:
    if isinstance(event.data, CommandSucceeded):
        return event.data.recording_ids
    return (getattr(event.data, "recording_id", ""),)
