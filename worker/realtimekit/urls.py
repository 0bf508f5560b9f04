"""URLs of the API from ids and parameters."""

import re
from typing import Final

import httpx

from worker.domain.errors import Refused

DEFAULT_PORTS: Final = {"https": 443, "http": 80}

API_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""The form of an id that can be part of a URL of the API."""


def app_url(base_url: str, account_id: str, app_id: str) -> str:
    """The URL of an app's operations, without a slash at its end.

    Raises ValueError when one of the three cannot be part of a URL.
    """
    url = httpx.URL(base_url.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url must begin with http:// or https:// and a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must not hold a user, a password, a query or a fragment")
    for name, value in (("account_id", account_id), ("app_id", app_id)):
        if not API_ID.fullmatch(value):
            raise ValueError(f"{name} must be 1 to 128 letters, digits, hyphens or underscores")
    return f"{url}/accounts/{account_id}/realtime/kit/{app_id}"


def path_segment(value: str, field: str) -> str:
    """`value` as a path segment. Raises Refused: `..` or a slash would call another operation."""
    if not API_ID.fullmatch(value):
        raise Refused("invalid_field", f"`{field}` is not an id of the API", field=field)
    return value


def query_params(**params: str | int | None) -> dict[str, str]:
    """The parameters that are not None, as text."""
    return {name: str(value) for name, value in params.items() if value is not None}


def is_same_url(one: str, other: str) -> bool:
    """Whether both are one URL: a host in capitals or a default port makes no difference."""
    try:
        return one == other or httpx.URL(one) == httpx.URL(other)
    except httpx.InvalidURL:
        return False
