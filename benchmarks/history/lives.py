"""A few finished recordings as the store leaves them: the rows that `fill` multiplies.

The store writes them, from the start command to the archive. So every row has the columns, the
indexes and the size that the worker gives it.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from recording_schemas import CommandSucceeded, Status
from worker.domain.archive import CopiedFile
from worker.domain.event_envelopes import OutcomeRecord, outcome_record
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.archive_queue import FileTask, TakeRequest
from worker.store.archive_results import CopyResult, ManifestResult
from worker.store.claims import ClaimRequest
from worker.store.database.archive_schema import (
    archive_files,
    archive_recordings,
    archive_timeline,
)
from worker.store.database.engine import open_engine
from worker.store.database.schema import files, inbox, outbox, recordings
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

BEGAN: Final = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
LIFE_SECONDS: Final = 3_600.0
"""From the start command to the last event."""

SOURCE: Final = "/recording-worker"
OWNER: Final = "history"
TRACE: Final = {"traceparent": f"00-{'4bf92f3577b34da6' * 2}-00f067aa0ba902b7-01"}
URL: Final = "https://recordings.example.com/{name}?X-Amz-Signature=" + "0f" * 190
TABLES: Final = (
    inbox,
    recordings,
    files,
    archive_files,
    archive_recordings,
    archive_timeline,
    outbox,
)
"""The tables, in the order in which rows are added."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """The life of a recording: who is recorded, how it ends, and whether a command ends it."""

    name: str
    status: Status = Status.UPLOADED
    people: int = 2
    is_stopped: bool = False
    is_archived: bool = False

    def id_of(self, id_kind: str) -> str:
        """The id of its `recording`, `start`, `stop`, `meeting` or `session`."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name}/{id_kind}"))


LIVES: Final = (
    Life(name="left", people=2),
    Life(name="stopped", people=2, is_stopped=True),
    Life(name="archived", people=2, is_stopped=True, is_archived=True),
    Life(name="large", people=6, is_stopped=True),
    Life(name="failed", people=0, status=Status.ERRORED),
)
SHARES: Final = (0, 1, 0, 1, 2, 0, 1, 3, 1, 4)
"""The lives of ten recordings, as indexes of LIVES."""

Row = dict[str, Any]
Rows = dict[str, list[list[Row]]]
"""For each table and each life, the rows that remain."""


async def rows_of_lives(folder: Path) -> Rows:
    """The rows that the store keeps of each life."""
    url = f"sqlite:///{folder / 'lives.db'}"
    rows: Rows = {table.name: [] for table in TABLES}
    for life in LIVES:
        store = await Store.open(url, source=SOURCE, archives=life.is_archived, now=_clock)
        known = _counts(url)
        await _live(store, life)
        await store.close()
        for name, added in _added(url, known).items():
            rows[name].append(added)
    return rows


def _clock() -> float:
    return (BEGAN + timedelta(seconds=LIFE_SECONDS)).timestamp()


def _counts(url: str) -> dict[str, int]:
    engine = open_engine(url)
    with engine.begin() as connection:
        counts = {
            table.name: connection.execute(
                sa.select(sa.func.count()).select_from(table)
            ).scalar_one()
            for table in TABLES
        }
    engine.dispose()
    return counts


def _added(url: str, known: dict[str, int]) -> dict[str, list[Row]]:
    """The rows after the known ones of each table, in the order in which they were added."""
    engine = open_engine(url)
    with engine.begin() as connection:
        found = {
            table.name: [
                dict(row)
                for row in connection.execute(
                    sa.select(table).order_by(sa.text("rowid")).offset(known[table.name])
                ).mappings()
            ]
            for table in TABLES
        }
    engine.dispose()
    return found


async def _live(store: Store, life: Life) -> None:
    """Everything that happens to the recording, in an hour."""
    people = tuple(_stay(life, number) for number in range(life.people))
    await _command(store, life, "start", _seen(life, Status.INVOKED, minutes=0))
    for status, minutes in ((Status.RECORDING, 1), (Status.UPLOADING, 58)):
        if life.status is Status.UPLOADED:
            await store.apply([_seen(life, status, minutes=minutes)])
    if life.is_stopped:
        await _command(store, life, "stop", minutes=58)
    found = tuple(_file(life, stay) for stay in people)
    ended = msgspec.structs.replace(
        _seen(life, life.status, minutes=59),
        files=found,
        files_final=True,
        participants=people,
        without_file=(),
    )
    await store.apply([ended])
    if life.is_archived:
        await _archive(store, life)
    while waiting := await store.unsent(500):
        sent = PageMarks(sent=[event.position for event in waiting])
        await store.mark_page(sent, _at(59.5).timestamp())


async def _command(
    store: Store, life: Life, id_kind: str, *observations: Observation, minutes: float = 0.0
) -> None:
    """A command that is claimed and succeeds."""
    is_start = id_kind == "start"
    kind = "start_track_recording" if is_start else "stop_recording"
    at = _at(minutes)
    await store.claim(
        ClaimRequest(
            command_id=life.id_of(id_kind),
            command_type=kind,
            owner=OWNER,
            now=at.timestamp(),
            lease_seconds=60.0,
            reconcile_seconds=30.0,
            abandoned_before=0.0,
            app="default",
            slot=f"{life.id_of('meeting')}/track" if is_start else None,
            start_id=None if is_start else life.id_of("start"),
            digest="0123456789abcdef" * 2,
        )
    )
    outcome = outcome_of(life.id_of(id_kind), kind, life.id_of("recording"), at)
    await store.finish(
        FinishRequest(outcome=outcome, reply=Reply(), observations=observations, now=at.timestamp())
    )


def outcome_of(command_id: str, kind: str, recording_id: str, at: datetime) -> OutcomeRecord:
    """The outcome of a command that succeeded."""
    data = CommandSucceeded(
        command_id=command_id, command_type=kind, recording_ids=(recording_id,), metadata=None
    )
    return outcome_record(data, source=SOURCE, at=at, correlation_id=command_id, trace=TRACE)


def _seen(life: Life, status: Status, *, minutes: float) -> Observation:
    at = _at(minutes)
    is_over = status in {Status.UPLOADED, Status.ERRORED}
    started = status is not Status.INVOKED
    return Observation(
        snapshot=RecordingSnapshot(
            recording_id=life.id_of("recording"),
            status=status,
            kind="track",
            meeting_id=life.id_of("meeting"),
            session_id=life.id_of("session"),
            invoked_time=_at(0),
            started_time=_at(1) if started else None,
            stopped_time=_at(58) if is_over else None,
            recording_duration=3420 if is_over else None,
            output_file_name=f"weekly_sync_{life.id_of('recording')}",
            start_reason="API_CALL",
            stop_reason="API_CALL" if is_over else None,
            error_message="the recorder crashed" if status is Status.ERRORED else None,
            download_url_expiry=_at(59) + timedelta(days=7) if is_over else None,
        ),
        observed_by="command" if status is Status.INVOKED else "webhook",
        asked_at=at,
        observed_at=at,
        start=StartContext(
            start_id=life.id_of("start"),
            correlation_id=life.id_of("start"),
            trace=TRACE,
            file_name_prefix="weekly_sync",
            user_ids=tuple(life.id_of(f"user {number}") for number in range(life.people)),
        ),
    )


def _stay(life: Life, number: int) -> Participant:
    return Participant(
        peer_id=life.id_of(f"peer {number}"),
        user_id=life.id_of(f"user {number}"),
        custom_participant_id=f"customer-{number:06}",
        display_name=f"Participant {number}",
        preset_name="group_call_participant",
        joined_at=_at(1),
        left_at=_at(57),
    )


def _file(life: Life, stay: Participant) -> TrackFile:
    name = f"weekly_sync_{stay.user_id}_{stay.peer_id}_audio_1767261605000.webm"
    return TrackFile(
        file_name=name,
        media_kind="audio",
        layer="default",
        user_id=stay.user_id,
        peer_id=stay.peer_id,
        custom_participant_id=stay.custom_participant_id,
        recorded_at=_at(1),
        download_url=URL.format(name=name),
        participant=stay,
    )


async def _archive(store: Store, life: Life) -> None:
    now = _at(59.5).timestamp()
    request = TakeRequest(owner=OWNER, now=now, until=now + 60, limit=100)
    copies = []
    for task in await store.archive.take_files(request):
        copies.append(_copy(life, task))
        await store.archive.copy_done(
            CopyResult(
                recording_id=task.recording_id,
                file_index=task.file_index,
                round=task.round,
                owner=OWNER,
                copied=copies[-1],
                now=now,
            )
        )
    await _write_manifests(store, life, copies, request)


async def _write_manifests(
    store: Store, life: Life, copies: Sequence[CopiedFile], request: TakeRequest
) -> None:
    for task in await store.archive.take_manifests(request):
        await store.archive.manifest_done(
            ManifestResult(
                recording_id=task.recording_id,
                owner=OWNER,
                changes=task.changes,
                manifest_url=_archive_url(life, "manifest.json"),
                copies=tuple(copies),
                now=request.now,
            )
        )


def _copy(life: Life, task: FileTask) -> CopiedFile:
    return CopiedFile(
        archive_url=_archive_url(life, task.file.file_name),
        size_bytes=7_340_032,
        sha256="9f86d081884c7d65" * 4,
        content_type="audio/webm",
        duration_seconds=3_420.5,
    )


def _archive_url(life: Life, name: str) -> str:
    meeting, recording = life.id_of("meeting"), life.id_of("recording")
    return f"s3://company-recordings/meetings/default/{meeting}/{recording}/{name}"


def _at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)
