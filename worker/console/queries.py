"""The parameters of a request, checked, each error with the parameter's name."""

from collections.abc import Collection
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from recording_schemas import Status
from worker.domain.recording import ENDED, LIVE

T = TypeVar("T")

MAX_TEXT_LENGTH: Final = 256
GROUPS: Final = {
    "live": LIVE,
    "ended": ENDED,
    "all": frozenset(Status),
}


def text(request: web.Request, name: str) -> str | None:
    """A text of the query, None if it is missing or empty."""
    value = request.query.get(name, "").strip()
    return checked_text(name, value) or None


def path_id(request: web.Request) -> str:
    """The id in the path."""
    return checked_text("the id", request.match_info["id"])


def checked_text(name: str, value: str) -> str:
    """The text, unless no id can have this form."""
    if len(value) > MAX_TEXT_LENGTH:
        raise wrong(f"{name}: has more than {MAX_TEXT_LENGTH} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong(f"{name}: is not valid UTF-8") from None
    if "\x00" in value:
        raise wrong(f"{name}: has a NUL character")
    return value


def choice(request: web.Request, name: str, allowed: Collection[str]) -> str | None:
    """One of the allowed words, None if it is missing or empty."""
    value = text(request, name)
    if value is not None and value not in allowed:
        raise wrong(f"{name}: must be one of {', '.join(allowed)}")
    return value


def whole(request: web.Request, name: str, *, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    value = text(request, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
        raise wrong(f"{name}: must be a whole number from {low} to {high}")
    return int(value)


def statuses(request: web.Request) -> frozenset[Status]:
    """The statuses that `status` names: one of them, or a group."""
    value = choice(request, "status", [*GROUPS, *Status]) or "live"
    return GROUPS[value] if value in GROUPS else frozenset({Status(value)})


def cursor(request: web.Request, kind: type[T]) -> T | None:
    """The position in `after`, as an earlier page gave it."""
    value = text(request, "after")
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError):
        raise wrong("after: must be the `next` of an earlier page") from None


def wrong(reason: str) -> web.HTTPBadRequest:
    """The error for a wrong parameter."""
    return web.HTTPBadRequest(reason=reason.replace("\n", " ").replace("\r", " "))
