"""Finds out which recording a start began: in the API's list, and in the answer to its call."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from recording_schemas import Kind, Status
from worker.commands.operations.call_time import (
    began_at,
    by_api_clock,
    first_call_by_api_clock,
    in_milliseconds,
    is_since,
)
from worker.commands.operations.context import OperationContext
from worker.domain.errors import OutcomeUnknown, Refused
from worker.domain.file_names import is_template
from worker.domain.recording import LIVE
from worker.domain.snapshot import RecordingSnapshot
from worker.realtimekit.fetch import fetch_all_recordings

NOT_OUR_CALLER: Final = "USER"
"""A start by a participant has this caller type. API calls have another type."""


class StartedRecording(msgspec.Struct, frozen=True, kw_only=True):
    """The fields by which the list shows that a recording belongs to a start.

    `file_name_prefix` is None if the command has none. Then the API chooses it.
    """

    meeting_id: str
    kind: Kind
    file_name_prefix: str | None

    def fits(self, snapshot: RecordingSnapshot) -> bool:
        """Whether the listed recording may belong to this start."""
        return (
            (snapshot.kind in {self.kind, None} or snapshot.kind_is_guessed)
            and snapshot.start_reason != "RECORD_ON_START"
            and snapshot.start_caller != NOT_OUR_CALLER
            and self._fits_name(snapshot.output_file_name)
            and self._fits_files(snapshot)
        )

    def _fits_files(self, snapshot: RecordingSnapshot) -> bool:
        """Whether the files have the prefix. The other name of a track recording is a template."""
        names = [file.name for file in snapshot.files]
        return not names or any(map(self._fits_name, names))

    def _fits_name(self, name: str | None) -> bool:
        prefix = self.file_name_prefix
        if not prefix or not name or is_template(name):
            return True
        # The API may replace characters of a prefix that it does not like.
        return _letters(name).startswith(_letters(prefix))


async def find_own_recording(
    context: OperationContext, started: StartedRecording
) -> RecordingSnapshot | None:
    """The recording that an earlier attempt of this start began, if the API lists one.

    Only one start of a meeting and kind is attempted at a time. So a recording is ours if it fits
    the start, was invoked since our first call by the API's clock, and belongs to no other command.
    If several recordings do, the first one since the call is ours.

    Raises OutcomeUnknown if the list has a recording that may be ours, but shows no time of it, or
    one that began when this start was too old to call.
    """
    if context.called_at is None:
        return None
    asked_at = context.now()
    # List first, because the answer carries the API's time.
    listed = await _list_meeting(context, started.meeting_id)
    context.observe_changes(listed, asked_at)
    now, api_now = context.now(), context.api.server_time()
    since = first_call_by_api_clock(context.called_at, now, api_now)
    fitting = [
        snapshot for snapshot in _not_of_other_commands(listed, context) if started.fits(snapshot)
    ]
    candidates = [
        (began, snapshot)
        for snapshot in fitting
        if (began := began_at(snapshot)) is not None and is_since(began, since)
    ]
    if not candidates:
        _check_times(fitting, context)
        return None
    began, snapshot = min(candidates, key=lambda candidate: candidate[0])
    latest = context.begins_by
    if latest is not None and latest < now and began > by_api_clock(latest, now, api_now):
        text = f"recording {snapshot.recording_id} began when this start was too old"
        raise OutcomeUnknown("start_unconfirmed", text)
    return snapshot


async def is_of_other_start(
    snapshot: RecordingSnapshot, asked_at: datetime, context: OperationContext
) -> bool:
    """Whether the answer to our call of `asked_at` names the recording of another start.

    The store is read only if the answer does not show that the recording has just begun.
    """
    began = began_at(snapshot)
    is_new = began is not None and is_since(began, in_milliseconds(asked_at))
    if is_new and snapshot.status is Status.INVOKED:
        return False
    start_id = await context.find_start_id(snapshot.recording_id)
    return start_id not in {None, context.start_context.start_id}


def _check_times(fitting: Iterable[RecordingSnapshot], context: OperationContext) -> None:
    """Raise OutcomeUnknown if a live recording shows no time, and may have begun after our call."""
    known = {recording.recording_id for recording in context.known}
    for snapshot in fitting:
        is_new = snapshot.status in LIVE and snapshot.recording_id not in known
        if is_new and began_at(snapshot) is None:
            text = f"the API does not say when recording {snapshot.recording_id} began"
            raise OutcomeUnknown("start_unconfirmed", text)


def _not_of_other_commands(
    listed: Iterable[RecordingSnapshot], context: OperationContext
) -> Iterable[RecordingSnapshot]:
    owned = {
        recording.recording_id
        for recording in context.known
        if recording.start and recording.start_id != context.start_context.start_id
    }
    return (snapshot for snapshot in listed if snapshot.recording_id not in owned)


async def _list_meeting(context: OperationContext, meeting_id: str) -> list[RecordingSnapshot]:
    try:
        return await fetch_all_recordings(
            context.background_api(), meeting_id=meeting_id, whole=True
        )
    except Refused as refused:  # the API refused the list, but may have executed the start
        raise OutcomeUnknown("start_unconfirmed", refused.message) from refused


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
