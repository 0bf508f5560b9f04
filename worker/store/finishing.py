"""Ends commands: recordings, events and outcomes change in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

import msgspec
import sqlalchemy as sa
import structlog

from worker.domain.event_envelopes import OutcomeRecord
from worker.domain.recording import Observation
from worker.store.acted_on import add_acted_on
from worker.store.database.bulk import ROW_KEY, bulk_update
from worker.store.database.dialects import among, open_or_closed, texts
from worker.store.database.direct import DirectStatement
from worker.store.database.schema import inbox, recordings
from worker.store.due_commands import remove_ended
from worker.store.lost_claims import add_lost_rows
from worker.store.outbox import (
    Reply,
    StoredOutcome,
    add_rows,
    outcome_rows,
    resend_outcomes,
    reserve_positions,
)
from worker.store.parking import make_due_after_starts
from worker.store.recording_rows import lock_rows
from worker.store.recordings import ApplyResult, apply_observations, recording_ids
from worker.store.replaying import Replay, replay


class FinishRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a command: its outcome, and the observations of the API's answers.

    `command_type` is for a row that the database has lost since the claim.
    `replay_ids` are the recordings whose events are to be published again.
    `is_rejected`: the command may be a parked start, or one that a parked stop waits for.
    """

    outcome: OutcomeRecord
    reply: Reply
    observations: tuple[Observation, ...]
    now: float
    command_type: str = "unknown"
    replay_ids: tuple[str, ...] = ()
    is_rejected: bool = False


def finish(
    connection: sa.Connection, requests: Sequence[FinishRequest], *, source: str, archives: bool
) -> list[ApplyResult]:
    """Operation: commit the observations, events and outcomes of finished commands.

    The first outcome of a command counts. A replica may finish a command again, because another
    replica took the command over or because the answer to its own commit was lost. Then the first
    outcome is published again, and the observations are applied.
    """
    observed = [observation for request in requests for observation in request.observations]
    locked = lock_rows(connection, recording_ids(observed))
    positions = reserve_positions(connection, len(observed))  # of a command, most are events
    start_ids = {observation.start.start_id for observation in observed if observation.start}
    command_ids = {request.outcome.command_id for request in requests}
    outcomes, stops = _find_ends(connection, command_ids | start_ids)
    if command_ids - outcomes.keys():
        lost = [request for request in requests if request.outcome.command_id not in outcomes]
        outcomes |= add_lost_rows(
            connection,
            {request.outcome.command_id: request.command_type for request in lost},
            now=lost[0].now,
        )
    observations = _one_recording_per_start(
        connection,
        [request.observations for request in requests],
        {start_id for start_id in start_ids if outcomes.get(start_id)},
    )
    results = apply_observations(
        connection,
        observations,
        source=source,
        archives=archives,
        locked=locked.get(),
        positions=positions.get(),
    )
    _mark_cancelled(connection, observations, stops, source=source, archives=archives)
    _add_outcomes(connection, requests, outcomes)
    if ended := {request.outcome.command_id for request in requests if request.is_rejected}:
        remove_ended(connection, ended)
        make_due_after_starts(connection, ended)
    return results


def _add_outcomes(
    connection: sa.Connection, requests: Sequence[FinishRequest], outcomes: dict[str, str | None]
) -> None:
    """End the commands and publish their outcomes, which are added to `outcomes`.

    A command that has an outcome in `outcomes` already ended before: that one is published again.
    """
    first: dict[str, FinishRequest] = {}
    repeats: list[StoredOutcome] = []
    for request in requests:
        command_id = request.outcome.command_id
        if (stored := outcomes[command_id]) is None:
            outcomes[command_id] = msgspec.json.encode(request.outcome).decode()
            first[command_id] = request
        else:
            repeats.append(StoredOutcome(stored, request.reply, request.now))
    _mark_done(
        connection,
        [
            {ROW_KEY: key, "outcome": outcomes[key], "finished_at": request.now}
            for key, request in first.items()
        ],
    )
    for request in first.values():
        if request.replay_ids:
            _replay(connection, request)
    rows = (
        outcome_rows(request.outcome, request.reply, now=request.now) for request in first.values()
    )
    add_rows(connection, list(chain.from_iterable(rows)))
    resend_outcomes(connection, repeats)


def _replay(connection: sa.Connection, request: FinishRequest) -> None:
    replay(
        connection,
        Replay(
            command_id=request.outcome.command_id,
            recording_ids=request.replay_ids,
            reply=request.reply,
            now=request.now,
        ),
    )


def _find_ends(
    connection: sa.Connection, ids: Iterable[str]
) -> tuple[dict[str, str | None], dict[str, str]]:
    """The stored outcomes of these commands by id, None for a command that has not ended. Also
    the stops that cancelled some of them, by the cancelled command's id."""
    rows = _ENDS.rows(connection, {"ids": texts(connection, ids)})
    outcomes = {command_id: outcome for command_id, outcome, _ in rows}
    return outcomes, {command_id: stop for command_id, _, stop in rows if stop}


_ENDS: Final = DirectStatement(
    sa.select(inbox.c.command_id, inbox.c.outcome, inbox.c.cancelled_by)
    .where(among(inbox.c.command_id, "ids"))
    .order_by(inbox.c.command_id)
    .with_for_update()
)
_mark_done: Final = bulk_update(
    inbox.c.command_id,
    "outcome",
    "finished_at",
    state=sa.literal_column("'done'"),
    holds=sa.null(),
    stopping=sa.null(),
    lease_owner=sa.null(),
    lease_until=sa.null(),
)


def _mark_cancelled(
    connection: sa.Connection,
    observations: Iterable[Iterable[Observation]],
    stops: Mapping[str, str],
    *,
    source: str,
    archives: bool,
) -> None:
    """Mark the recordings of cancelled starts, so that they are stopped at once.

    The stop may have ended before the recording appeared. If it has not, its outcome names the
    recording.
    """
    unwanted = [
        msgspec.structs.replace(observation, cancelled_by=stops[observation.start.start_id])
        for request in observations
        for observation in request
        if observation.start and observation.start.start_id in stops
    ]
    if not unwanted:
        return
    apply_observations(connection, [unwanted], source=source, archives=archives)
    for observation in unwanted:
        if observation.cancelled_by:
            add_acted_on(connection, observation.cancelled_by, [observation.snapshot.recording_id])


def _one_recording_per_start(
    connection: sa.Connection, requests: Sequence[Sequence[Observation]], ended: set[str]
) -> list[tuple[Observation, ...]]:
    """The observations, in which each start keeps only its first recording.

    `ended` are the starts among them that have ended. Only these are searched for a recording: both
    are committed together, and each search reads a page of a long history.

    A start should never have a second recording. If it has one, the worker follows the second
    recording as if another program had started it, stops it at once, and logs an error. The inbox
    also stores its id, so that a stop by `start_id` stops both.
    """
    first_recordings = _find_first_recordings(connection, ended) if ended else {}
    return [
        tuple(
            _without_second_recording(connection, first_recordings, observation)
            for observation in observations
        )
        for observations in requests
    ]


def _find_first_recordings(connection: sa.Connection, start_ids: set[str]) -> dict[str, str]:
    """The recording of each start that has one, by the id of the start."""
    return dict(connection.execute(_RECORDINGS, {"starts": start_ids}).all())


_RECORDINGS: Final = sa.select(recordings.c.start_id, recordings.c.recording_id).where(
    open_or_closed(among(recordings.c.start_id, "starts"))
)


def _without_second_recording(
    connection: sa.Connection, first_recordings: dict[str, str], observation: Observation
) -> Observation:
    if observation.start is None:
        return observation
    start_id, recording_id = observation.start.start_id, observation.snapshot.recording_id
    first = first_recordings.setdefault(start_id, recording_id)
    if first == recording_id:
        return observation
    structlog.get_logger().error(
        "second_recording_found", start_id=start_id, recording_id=recording_id, first=first
    )
    add_acted_on(connection, start_id, [recording_id])
    return msgspec.structs.replace(observation, start=None, surplus_of=start_id)
