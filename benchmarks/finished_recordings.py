"""A store with a long history: many finished recordings, their commands and files."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from recording_schemas import Status
from worker.domain.event_envelopes import OutcomeRecord
from worker.domain.recording import Recording, StartContext
from worker.store.store import Store

_ID: Final = "00000000-0000-4000-8000-000000000000"

_NUMBERED: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO past SELECT i, lower(hex(randomblob(16))) FROM n
"""
_COPIES: Final = (
    """
    INSERT INTO inbox (command_id, command_type, state, attempts, crashes, alone, first_seen_at,
                       slot, outcome, finished_at)
    SELECT 'bench-' || id, 'start_track_recording', 'done', 1, 0, 0, :now, id || '/track',
           replace(:outcome, :id, id), :now
    FROM past
    """,
    """
    INSERT INTO recordings (recording_id, app, kind, status, meeting_id, start_id, version, open,
                            state, changed_at)
    SELECT id, 'default', 'track', 'UPLOADED', id, 'bench-' || id, 4, 0, replace(:state, :id, id),
           :now
    FROM past
    """,
    """
    INSERT INTO files (recording_id, file_index, file_name, found_at)
    SELECT id, 1, id || '_peer_audio_1767261605000.webm', :now FROM past
    """,
)


async def grow(path: Path, count: int) -> str:
    """The URL of a new SQLite store in `path`, in which this many recordings have just ended.

    Their ids resemble those of the commands that follow, so that they share index pages. A million
    recordings take about half a minute and two gigabytes.
    """
    url = f"sqlite:///{path}"
    store = await Store.open(url, source="bench", now=time.time)
    await store.close()
    facts = {
        "count": count,
        "id": _ID,
        "now": time.time(),
        "state": msgspec.json.encode(_recording()).decode(),
        "outcome": msgspec.json.encode(_outcome()).decode(),
    }
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -1000000")
        with connection:
            connection.execute("CREATE TEMP TABLE past (i INTEGER PRIMARY KEY, id TEXT)")
            connection.execute(_NUMBERED, facts)
            for copy in _COPIES:
                connection.execute(copy, facts)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return url


def _recording() -> Recording:
    """A recording that ended well, as the store keeps it."""
    now = datetime.now(UTC)
    return Recording(
        recording_id=_ID,
        app="default",
        kind="track",
        status=Status.UPLOADED,
        version=4,
        sequence=6,
        start=StartContext(start_id=f"bench-{_ID}", correlation_id=f"bench-{_ID}"),
        meeting_id=_ID,
        session_id=_ID,
        invoked_time=now,
        started_time=now,
        stopped_time=now,
        recording_duration=60,
        first_seen_at=now,
        changed_at=now,
        file_count=1,
        completed=True,
    )


def _outcome() -> OutcomeRecord:
    """The outcome of its command."""
    body = {
        "specversion": "1.0",
        "id": _ID,
        "source": "/recording-worker",
        "type": "command.succeeded.v1",
        "subject": f"bench-{_ID}",
        "data": {"command_id": f"bench-{_ID}", "recording_ids": [_ID]},
    }
    return OutcomeRecord(
        event_id=_ID,
        event_type="command.succeeded.v1",
        routing_key="start_track_recording.succeeded",
        command_id=f"bench-{_ID}",
        correlation_id=f"bench-{_ID}",
        body=msgspec.json.encode(body).decode(),
    )
