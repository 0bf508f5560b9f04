"""Checks of request bodies and query parameters. A failed check raises Refusal (400)."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from recording_sandbox.api.request_bodies import AddWebhook, EditWebhook, StartComposite
from recording_sandbox.model.errors import Refusal

T = TypeVar("T")

EVENTS = (
    "meeting.started",
    "meeting.ended",
    "meeting.participantJoined",
    "meeting.participantLeft",
    "meeting.chatSynced",
    "recording.statusUpdate",
    "livestreaming.statusUpdate",
    "meeting.transcript",
    "meeting.summary",
)


def decode(body: bytes, kind: type[T]) -> T:
    """The body as a `kind`. Raises Refusal (400) that names the invalid field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, _message(str(error))) from error
    except msgspec.DecodeError as error:
        raise Refusal(400, "BAD_REQUEST: the body is not JSON") from error


def check_composite(body: StartComposite) -> None:
    """Check the formats of a composite start that types cannot express."""
    check_uri("url", body.url)
    if body.rtmp_out_config:
        check_uri("rtmp_out_config.rtmp_url", body.rtmp_out_config.rtmp_url)
    if body.video_config.watermark:
        check_uri("video_config.watermark.url", body.video_config.watermark.url)


def check_webhook(body: AddWebhook | EditWebhook) -> None:
    """Check the formats of a webhook that types cannot express."""
    check_uri("url", body.url)
    for index, event in enumerate(body.events or ()):
        if event not in EVENTS:
            raise invalid(f"events[{index}]", f"must be one of [{', '.join(EVENTS)}]")


def check_uri(name: str, value: str | None) -> None:
    """Check that the value is an absolute URI, or None."""
    if value is not None and not (urlsplit(value).scheme and urlsplit(value).netloc):
        raise invalid(name, "must be a valid uri")


def uuid(name: str, value: str) -> str:
    """The value as a UUID in its canonical form."""
    try:
        return str(UUID(value))
    except ValueError as error:
        raise invalid(name, "must be a valid GUID") from error


def whole_number(name: str, value: str, *, minimum: int = 0, maximum: int | None = None) -> int:
    """The query parameter as a number of at most nine digits."""
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise invalid(name, "must be a number")
    number = int(value)
    if number < minimum:
        raise invalid(name, f"must be greater than or equal to {minimum}")
    if maximum is not None and number > maximum:
        raise invalid(name, f"must be less than or equal to {maximum}")
    return number


def flag(name: str, value: str) -> bool:
    """The query parameter as a boolean."""
    return one_of(name, value, ("true", "false")) == "true"


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """The query parameter, which must be one of the allowed words."""
    if value not in allowed:
        raise invalid(name, f"must be one of [{', '.join(allowed)}]")
    return value


def timestamp(name: str, value: str) -> float:
    """The query parameter, a date-time with a time zone, as epoch seconds."""
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(name, "must be a valid ISO 8601 date") from error
    if when.tzinfo is None:
        raise invalid(name, "must be a date with a time zone")
    return when.timestamp()


def only(query: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Check that the query has no other parameters than these."""
    for name in query:
        if name not in allowed:
            raise invalid(name, "is not allowed")


def invalid(name: str, problem: str) -> Refusal:
    """The Refusal (400) of one field or parameter, in the API's words."""
    return Refusal(400, f'BAD_REQUEST: "{name}" {problem}')


def _message(text: str) -> str:
    problem, _, where = text.partition(" - at ")
    path = where.strip("`").removeprefix("$").removeprefix(".")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", problem):
        return f'BAD_REQUEST: "{_join(path, missing[1])}" is required'
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", problem):
        return f'BAD_REQUEST: "{_join(path, unknown[1])}" is not allowed'
    if problem == "Invalid UUID":
        return f'BAD_REQUEST: "{path}" must be a valid GUID'
    return f'BAD_REQUEST: "{path or "value"}" is not valid: {problem.lower()}'


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
