"""What to do about errors of PostgreSQL whose text does not say it."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import exc

READ_ONLY_SQLSTATE: Final = "25006"
"""The server takes no writes: it has become a standby."""

MAX_REASON_LENGTH: Final = 300

_BY_SQLSTATE: Final[Mapping[str, str]] = {
    "42501": "the role of DATABASE_URL must own the tables, or be allowed to create them: GRANT "
    "USAGE, CREATE ON SCHEMA … TO …",
    "3F000": "no schema of search_path exists that the role of DATABASE_URL may use: create one, "
    "and GRANT USAGE, CREATE ON SCHEMA … TO …",
    READ_ONLY_SQLSTATE: "the server is a standby, or default_transaction_read_only is on",
}
_TOO_FEW_CONNECTIONS: Final = "each worker needs four connections, and two behind a pooler"
_BY_WORDS: Final[Mapping[str, str]] = {
    "too many connections": _TOO_FEW_CONNECTIONS,
    "too many clients": _TOO_FEW_CONNECTIONS,
    "remaining connection slots": _TOO_FEW_CONNECTIONS,
    "conflict with recovery": "the server is a standby, which replays the changes of its primary: "
    "repeat the command, or read the primary",
    "statement pooling mode": "set pool_mode = transaction in PgBouncer",
}
"""Errors of a refused connection have no SQLSTATE here. PgBouncer's have a general one."""


def reason_of(error: exc.DBAPIError) -> str:
    """The first line of the driver's error, and what to do about it.

    The statement's parameters may be secret, so they are not shown.
    """
    text = str(error.orig)
    lines = text.splitlines() or [type(error.orig).__name__]
    reason = lines[0][:MAX_REASON_LENGTH]
    advice = _BY_SQLSTATE.get(getattr(error.orig, "sqlstate", None) or "") or next(
        (advice for words, advice in _BY_WORDS.items() if words in text), None
    )
    return f"{reason} ({advice})" if advice else reason
