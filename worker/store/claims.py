"""The request to claim a command, and the answer to it."""

from typing import Literal

import msgspec

from worker.domain.command_keys import StartState
from worker.domain.meeting_participants import People
from worker.domain.recording import Recording
from worker.store.cancelling import CancelledStart
from worker.store.outbox import Reply

ClaimVerdict = Literal["new", "again", "busy", "done", "parked", "waiting", "id_in_use", "lost"]


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to execute a command now. Times are seconds since the epoch.

    reconcile_seconds a start may call again this many seconds after a call without an answer
    abandoned_before  a start that was first seen earlier does not exclude other starts
    app               the app that the command is for; None if no such app is configured
    slot              the slot of a start; None for other commands
    rival_slots       of a command for a whole meeting: it waits for the starts in these slots
    cancels_starts    the command is a stop
    first_seen        when the command was first postponed, if that was before its first claim
    called_at         since when the start may have called, in an attempt that the store may not
                      know
    finish_only       the command will not call any more, so it does not wait for its slot
    reserve_only      the command is not to be executed now. If its body is the first one of its
                      id, it gets the id, and the result is `busy`.
    alone             no other crash suspect runs at the same time, so a crash counts against this
                      command
    unparked          the position of the parking that ended with this delivery
    start_id, meeting_id, recording_id
                      the subject of the command
    digest            what the message asks for (`domain.command_digest`); None is not compared
    """

    command_id: str
    command_type: str
    owner: str
    now: float
    lease_seconds: float
    reconcile_seconds: float
    abandoned_before: float
    app: str | None = None
    slot: str | None = None
    rival_slots: tuple[str, ...] = ()
    cancels_starts: bool = False
    first_seen: float | None = None
    called_at: float | None = None
    finish_only: bool = False
    reserve_only: bool = False
    alone: bool = False
    unparked: int | None = None
    start_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    reply: Reply = Reply()
    digest: str | None = None


class LostCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command past its age whose message was not delivered again.

    `reply` is the address for its outcome, if it is stored. `may_have_called`: the API may have
    executed a call of it. `cancelled_by`: the stop that cancelled it, if it certainly never called.
    """

    command_id: str
    command_type: str
    attempts: int
    last_error: str | None
    may_have_called: bool
    cancelled_by: str | None
    reply: Reply


class ClaimResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a claim. Only with the verdicts `new` and `again` the command is executed now.

    verdict           new        execute the command for the first time
                      again      execute it once more
                      busy       another replica executes it, or another start has its slot
                      done       it ended before, and its outcome is published again
                      parked     the store keeps another delivery of it, which is executed later
                      waiting    as `parked`, but the retry queues keep its deliveries
                      id_in_use  the id is that of another body, which has no outcome yet
                      lost       as `id_in_use`, but the message of that body is lost
    age_from          the time from which its age counts
    waits_since       since when it has been parked in total
    called_at         when an earlier attempt may first have called the API without an answer
    may_call          whether a start may call now
    known_recordings  the recordings that the command may be about
    start_state, pending_starts, cancelled_starts
                      the starts that it names, as in `StartsOfCommand`
    acted_on          the recordings that earlier attempts acted on
    cancelled_by      the stop that cancelled this start
    leased_by         the replica that executes a busy command
    crashes           how many of the last attempts in a row ran alone and ended with the process
    people            the participants that an earlier call of a start by custom ids may have
                      asked for
    id_conflict       the body is not the one that has the id
    lost              the command to end, if the verdict is `lost`
    """

    verdict: ClaimVerdict
    attempts: int = 0
    first_seen_at: float
    age_from: float = 0.0
    waits_since: float | None = None
    called_at: float | None = None
    may_call: bool = False
    known_recordings: tuple[Recording, ...] = ()
    start_state: StartState | None = None
    pending_starts: int = 0
    cancelled_starts: tuple[CancelledStart, ...] = ()
    acted_on: tuple[str, ...] = ()
    cancelled_by: str | None = None
    leased_by: str | None = None
    crashes: int = 0
    last_error: str | None = None
    people: People | None = None
    id_conflict: bool = False
    lost: LostCommand | None = None
