"""From ids and values to URLs of the API."""

import re

import httpx

from worker.domain.errors import Refused

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def query_params(**params: str | int | None) -> dict[str, str]:
    """The parameters that are not None, as text."""
    return {name: str(value) for name, value in params.items() if value is not None}


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
