"""Each message is valid by its JSON Schema, and has the properties that the contract names."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

from tests.oracle.evidence import Evidence, Received

SCHEMAS: Final = Path(__file__).parents[2] / "schemas" / "json"
EXCHANGE_OF: Final = {
    "recording.status_changed.v1": "status",
    "recording.file_ready.v1": "files",
    "recording.file_url_renewed.v1": "files",
    "recording.completed.v1": "files",
}


def check_messages(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    bodies: dict[str, bytes] = {}
    for message in (*evidence.received, *evidence.replies):
        if bodies.setdefault(message.id, message.body) == message.body:
            yield from _wrong_message(message, evidence.limits.exchange_prefix)
        else:
            yield f"two bodies with the id {message.id}: {bodies[message.id]!r} {message.body!r}"
    commands = evidence.commands()
    for message in (*evidence.received, *evidence.replies):
        if message.kind.startswith("command."):
            sent = commands.get(str(message.data.get("command_id")), [])
            known = {each.correlation_id or each.id for each in sent}
            if message.correlation_id not in known:
                yield f"outcome of {message.data.get('command_id')}: {message.correlation_id}"


def _wrong_message(message: Received, prefix: str) -> Iterator[str]:
    name = f"{message.kind} {message.id}"
    for problem in _schema_problems(message.kind, message.body):
        yield f"{name}: {problem}"
    expected: dict[str, tuple[Any, Any]] = {
        "message_id": (message.message_id, message.id),
        "type": (message.type, message.kind),
        "content_type": (message.content_type, "application/cloudevents+json"),
        "persistent": (message.is_persistent, True),
        "timestamp": (message.has_timestamp, True),
    }
    if message.exchange:
        exchange = EXCHANGE_OF.get(message.kind, "results")
        expected["exchange"] = message.exchange, f"{prefix}.{exchange}"
        expected["routing key"] = message.routing_key, _routing_key(message)
    for what, (found, right) in expected.items():
        if found != right:
            yield f"{name} has the {what} {found} instead of {right}"


def _routing_key(message: Received) -> str:
    data = message.data
    if message.kind.startswith("command."):
        return f"{data.get('command_type')}.{message.kind.split('.')[1]}"
    kind = data.get("kind")
    endings = {
        "recording.status_changed.v1": str(data.get("status")).lower(),
        "recording.file_ready.v1": f"{data.get('media_kind')}.ready",
        "recording.file_url_renewed.v1": f"{data.get('media_kind')}.url_renewed",
        "recording.completed.v1": "completed",
    }
    return f"{kind}.{endings.get(message.kind)}"


@cache
def _validator(kind: str) -> Draft202012Validator | None:
    file = SCHEMAS / f"{kind}.json"
    return Draft202012Validator(json.loads(file.read_text())) if file.exists() else None


@cache
def _schema_problems(kind: str, body: bytes) -> tuple[str, ...]:
    validator = _validator(kind)
    if validator is None:
        return (f"there is no schema of {kind}",)
    return tuple(error.message[:300] for error in validator.iter_errors(json.loads(body)))
