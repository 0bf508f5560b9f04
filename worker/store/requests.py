"""What is asked of the inbox, and what it answers."""

from typing import Literal

import msgspec

from worker.domain.event_envelopes import OutcomeRecord
from worker.domain.recording import Observation, Recording
from worker.store.outbox import Reply

Verdict = Literal["new", "again", "busy", "done"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A request to execute a command now.

    `app` is the one it means, None when there is no such. `slot` is given by starts; `rivals`, the
    slots of the starts it has to wait for, by a command for a whole meeting. `start_id`,
    `meeting_id`, `recording_id` name what the command acts on, so that the claim can tell what is
    known of it. A start whose call is older than `abandoned_before` no longer keeps others out;
    after `settle_seconds` a call whose answer was lost may be made again. `first_seen` is when the
    command was first put off, if that was before its first claim. `only_to_end`: it will not call
    any more, so it need not wait for its slot. `alone`: no other suspect is executed beside it, so
    that a crash is its own.
    """

    command_id: str
    command_type: str
    owner: str
    now: float
    lease_seconds: float
    settle_seconds: float
    abandoned_before: float
    app: str | None = None
    slot: str | None = None
    rivals: tuple[str, ...] = ()
    first_seen: float | None = None
    only_to_end: bool = False
    alone: bool = False
    start_id: str | None = None
    meeting_id: str | None = None
    recording_id: str | None = None
    reply: Reply = Reply()


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim came to.

    `new`/`again`: execute it (`again`: it was claimed before). `busy`: another replica executes
    it, or its slot is taken. `done`: its outcome goes out once more. `called_at` is the first
    moment at which an earlier attempt may have called the API and got no answer, else None;
    `may_call` says whether a start may call now. `known` are the recordings the command may mean,
    `start_state` the state of the start command it names (None: unknown). `crashes` counts the
    last attempts in a row, made alone, that ended the process before they were over.
    """

    verdict: Verdict
    attempts: int = 0
    first_seen_at: float = 0.0
    called_at: float | None = None
    may_call: bool = False
    known: tuple[Recording, ...] = ()
    start_state: str | None = None
    starts_pending: int = 0
    crashes: int = 0
    last_error: str | None = None


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that did not end the command. `uncertain`: its call may have been executed, or one
    before it; `called_until` is the last moment at which this attempt may have called, if it did.

    Nothing happens when the command is no longer `owner`'s: another replica has taken it over, and
    what may have been called since is not for this one to say. None stands for whoever holds it.
    """

    command_id: str
    uncertain: bool
    last_error: str
    owner: str | None = None
    called_until: float | None = None


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a command: its outcome, and what the API told on the way."""

    outcome: OutcomeRecord
    reply: Reply
    seen: tuple[Observation, ...]
    now: float
