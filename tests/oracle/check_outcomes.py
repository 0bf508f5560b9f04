"""Each command has exactly one outcome, and it is a possible one."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from tests.oracle.evidence import STARTS, Evidence, Received, Sent

BODY_CODES: Final = {
    "conflicting_fields",
    "invalid_field",
    "missing_field",
    "missing_id",
    "missing_type",
    "not_an_object",
    "not_json",
    "not_utf8",
    "unknown_app",
    "unknown_field",
    "unknown_type",
}
"""Codes that call the command itself wrong."""
CLOCK_SECONDS: Final = 0.05


def check_outcomes(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    yield from _two_outcomes(evidence)
    commands = evidence.commands()
    for command_id, outcome in evidence.outcomes().items():
        messages = commands.get(command_id)
        if messages is None:
            yield f"outcome of {command_id}, which nobody sent"
            continue
        yield from _wrong_type(outcome, messages)
        yield from _wrong_verdict(outcome, messages)
        yield from _wrong_time(outcome, messages, evidence)
        yield from _wrong_metadata(outcome, messages)


def _two_outcomes(evidence: Evidence) -> Iterator[str]:
    ids: dict[str, set[str]] = {}
    for message in (*evidence.received, *evidence.replies):
        if message.kind.startswith("command."):
            ids.setdefault(str(message.data.get("command_id")), set()).add(message.id)
    for command_id, found in ids.items():
        if len(found) > 1:
            yield f"{command_id} has {len(found)} outcomes"


def _wrong_type(outcome: Received, messages: list[Sent]) -> Iterator[str]:
    told = outcome.data.get("command_type")
    if told not in {*(sent.type for sent in messages), "unknown"}:
        yield f"outcome of {messages[0].id} names the type {told}"
    if outcome.event.get("subject") != messages[0].id:
        yield f"outcome of {messages[0].id} has the subject {outcome.event.get('subject')}"


def _wrong_verdict(outcome: Received, messages: list[Sent]) -> Iterator[str]:
    code = outcome.data.get("code")
    is_body_fault = outcome.kind == "command.rejected.v1" and code in BODY_CODES
    if all(sent.is_right for sent in messages) and is_body_fault:
        yield f"right command {messages[0].id} is rejected as {code}: {outcome.data.get('message')}"
    if not any(sent.is_right for sent in messages) and not is_body_fault:
        yield f"wrong command {messages[0].id} ends as {outcome.kind} {code}"


def _wrong_time(outcome: Received, messages: list[Sent], evidence: Evidence) -> Iterator[str]:
    first = messages[0]
    age = outcome.at - first.at
    if outcome.kind == "command.expired.v1":
        deadlines = [deadline for sent in messages if (deadline := deadline_of(sent)) is not None]
        if not deadlines or outcome.at + CLOCK_SECONDS < min(deadlines):
            yield f"{first.id} is expired before its deadline"
    if outcome.kind == "command.failed.v1":
        code = outcome.data.get("last_error", {}).get("code")
        limits = evidence.limits
        wait = {
            "no_session": limits.session_wait,
            "start_unknown": limits.stop_wait,
            "not_stoppable": limits.stop_wait,
        }.get(code, min(limits.max_age, limits.stop_wait))
        if age + CLOCK_SECONDS < wait:
            yield f"{first.id} failed as {code} after {age:.1f} of {wait} seconds"


def _wrong_metadata(outcome: Received, messages: list[Sent]) -> Iterator[str]:
    told = outcome.data.get("metadata")
    given = [sent.command.get("metadata") for sent in messages if sent.command is not None]
    if messages[0].type not in STARTS:
        given = [None]
    if any(sent.is_right for sent in messages) and told not in given:
        yield f"outcome of {messages[0].id} has the metadata {told}"


def deadline_of(sent: Sent) -> float | None:
    """Seconds since the epoch; None if there is none that can be read."""
    text = None if sent.command is None else sent.command.get("deadline")
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
