"""Answers of the API: the product's envelopes, and those of the gateway before it."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a request gets, and what it tells about recordings."""

    status: int
    body: Any
    shown: tuple[tuple[str, str], ...] = ()
    effect: str | None = None
    retry_after: float | None = None


def data(
    content: Any, shown: tuple[tuple[str, str], ...] = (), effect: str | None = None
) -> Answer:
    """Success."""
    return Answer(200, {"success": True, "data": content}, shown, effect)


def refusal(status: int, message: str, retry_after: float | None = None) -> Answer:
    """An error of the product."""
    body = {"success": False, "error": {"code": status, "message": message}}
    return Answer(status, body, retry_after=retry_after)


def gateway(status: int, code: int, message: str, retry_after: float | None = None) -> Answer:
    """An error of the gateway."""
    errors = [{"code": code, "message": message}]
    body = {"success": False, "errors": errors, "messages": [], "result": None}
    return Answer(status, body, retry_after=retry_after)
