"""Tells which start commands a recording may belong to, without believing the worker.

A start's request has the members of its command. Commands whose requests would look the same share
a key. Then the number of their recordings is compared with the number of commands.
"""

import json
from typing import Final

from tests.oracle.evidence import STARTS, Evidence, Json, Received, Sent
from tests.oracle.truth import Kind, Meeting, Recording

LOCAL: Final = frozenset(
    {"type", "id", "deadline", "app", "metadata", "wait_for_session", "custom_participant_ids"}
)
"""Members of a start that the API does not get. Of tracks, `max_seconds` is another one."""

KINDS: Final[dict[str, Kind]] = {
    "start_track_recording": "track",
    "start_recording": "composite",
}
CLOCK_SECONDS: Final = 1.5
"""The worker knows the API's clock to a second."""


def key_of_recording(recording: Recording) -> str:
    """The key of the request that started it."""
    return _key(recording.kind, recording.body)


def key_of_request(kind: Kind, body: Json) -> str:
    """The key of any start request."""
    return _key(kind, body)


def starts_by_key(evidence: Evidence) -> dict[str, list[Sent]]:
    """The right start messages, by the key that their request would have."""
    found: dict[str, list[Sent]] = {}
    for sent in evidence.sent:
        if sent.is_right and sent.command is not None and sent.type in STARTS:
            meeting = evidence.truth.meetings.get(sent.command["meeting_id"])
            found.setdefault(_key_of_command(sent.command, meeting), []).append(sent)
    return found


def has_double(recording: Recording, evidence: Evidence) -> bool:
    """Whether another program's recording looks like one of the worker's, here or in its place.

    Both are of one meeting and kind, and the other one began while the end of a start was open. If
    that start's answer is lost, or its worker is killed, nobody can tell them apart.
    """
    outcomes = evidence.outcomes()
    return any(
        (other.meeting, other.kind) == (recording.meeting, recording.kind)
        and not other.by_worker
        and any(_was_open(sent, other, outcomes.get(sent.id)) for sent in evidence.sent)
        for other in evidence.truth.recordings.values()
    )


def _was_open(sent: Sent, other: Recording, outcome: Received | None) -> bool:
    """Whether the other recording began between a start of its meeting and that start's outcome."""
    command = sent.command or {}
    return (
        KINDS.get(str(sent.type)) == other.kind
        and command.get("meeting_id") == other.meeting.id
        and sent.at - CLOCK_SECONDS < other.began
        and (outcome is None or other.began < outcome.at)
    )


def _key_of_command(command: Json, meeting: Meeting | None) -> str:
    kind = KINDS[command["type"]]
    local = LOCAL | {"max_seconds"} if kind == "track" else LOCAL
    body = {name: part for name, part in command.items() if name not in local}
    if customs := command.get("custom_participant_ids"):
        people = meeting.people if meeting else []
        ids = {person.user_id for person in people if person.custom_id in customs}
        body["user_ids"] = sorted({*ids, *body.get("user_ids", [])})
    return _key(kind, body)


def _key(kind: Kind, body: Json) -> str:
    whole = {name: part for name, part in body.items() if part is not None}
    if "user_ids" in whole:
        whole["user_ids"] = sorted(whole["user_ids"])
    return json.dumps([kind, whole], sort_keys=True)
