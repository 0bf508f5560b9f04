"""From ids and values to URLs of the API."""

import re
from datetime import UTC, datetime

import httpx

from worker.domain.errors import Refused

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def query_of(**members: str | int | bool | datetime | None) -> dict[str, str]:
    """Those that are not None, as the API wants them written."""
    return {name: _as_text(value) for name, value in members.items() if value is not None}


def _as_text(value: str | int | bool | datetime) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def segment(value: str, member: str) -> str:
    """`value` as a path segment; `..` and slashes would lead to another operation."""
    if not _ID.fullmatch(value):
        raise Refused("invalid_member", f"`{member}` is not an id of the API", field=member)
    return value


def app_url(base_url: str, account_id: str, app_id: str) -> str:
    """Where an app's operations begin. ValueError when one of the three cannot be part of it."""
    url = httpx.URL(base_url.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must not hold a user, a password, a query or a fragment")
    for member, value in (("account_id", account_id), ("app_id", app_id)):
        if not _ID.fullmatch(value):
            raise ValueError(f"{member} must be 1 to 128 letters, digits, hyphens or underscores")
    return f"{url}/accounts/{account_id}/realtime/kit/{app_id}"
