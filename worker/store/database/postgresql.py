"""Connections to PostgreSQL: the parameters of libpq, and the settings of each session.

A session gets its settings as start-up options. PgBouncer refuses those, and in its transaction
mode each transaction may run in another session. Behind it the settings are sent with each
transaction, there are no prepared statements, and no LISTEN (docs/explanation/databases.md).

A client that is frozen or cut off inside a transaction keeps its row locks, and with them the
leader's lease or a command. Therefore the settings also limit how long the server waits for it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import sqlalchemy as sa

from worker.domain.errors import WrongSettings
from worker.store.database.direct import begin_with

Pooler = Literal["none", "transaction"]
"""What is between the worker and PostgreSQL: nothing, or a pooler in transaction mode."""

CurrentUrl = Callable[[], str]
"""Returns the DATABASE_URL as its file has it now, in any thread."""

URL_SYNTAX: Final = (
    "DATABASE_URL: use sqlite:///relative.db, sqlite:////absolute.db or postgresql://…"
)
SCHEMES: Final = ("postgresql://", "postgres://")
CONNECT_TIMEOUT_SECONDS: Final = 5
LOST_PEER_TIMEOUT_SECONDS: Final = 15
SILENCE_FACTOR: Final = 4 / 3
"""A server may be silent this many times longer than a lost peer, because the time-out of a
statement must come first."""

REPLICA_LOCK_SEED: Final = 7_265_636_073
"""A part of the number of each replica's advisory lock. It makes these numbers differ from those of
other programs."""

IDLE_TRANSACTION_TIMEOUT_SECONDS: Final = 10
"""The server ends a session that sends nothing for this long inside a transaction. A worker
needs milliseconds. A replica waits 5 s for a lock, so it gets one at the second or third
attempt."""

_CLIENT: Final[Mapping[str, Any]] = {
    "application_name": "recording-worker",
    "connect_timeout": CONNECT_TIMEOUT_SECONDS,
    # Detects a peer that vanished silently.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": LOST_PEER_TIMEOUT_SECONDS * 1000,
}

_SERVER: Final[Mapping[str, str]] = {
    # The server, too, must notice a peer that vanished silently, with or without an answer in
    # flight. It ends a session that reads no answer for this long, because such a session cannot be
    # cancelled otherwise.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": f"{LOST_PEER_TIMEOUT_SECONDS}s",
    # Times are numbers with a fraction, as text. An administrator may have set fewer digits.
    "extra_float_digits": "1",
}

WRITER: Final[Mapping[str, str]] = {
    **_SERVER,
    "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_TIMEOUT_SECONDS}s",
    "statement_timeout": f"{LOST_PEER_TIMEOUT_SECONDS}s",
    "lock_timeout": "5s",
    # No bitmap scans: they visit every row that left the index of unsent events and is not vacuumed
    # yet, at every execution. An index scan visits such a row once.
    "enable_bitmapscan": "off",
    # No hash and merge joins. Rows to change are looked up one by one, even if reading the whole
    # table would be as fast today: the table grows.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    # The statements are written for it: after a wait for a lock, the next one sees the commits of
    # others. An administrator may have set another level for the role.
    "default_transaction_isolation": "read committed",
    # A new plan at each execution, for its number of ids. A generic plan is made while the tables
    # are small. It reads them whole, and is kept while they grow.
    "plan_cache_mode": "force_custom_plan",
}
"""The session settings of a worker."""

_DURABILITY: Final = "synchronous_commit"
_DURABLE: Final = f"""
set_config('{_DURABILITY}', replace(current_setting('{_DURABILITY}'), 'off', 'on'), {{is_local}})
"""
"""With `off`, the server loses commits when it crashes, and the worker has acknowledged commands
that are among them. Only this value is replaced: others are about standbys."""

NEVER_IDLE: Final = """
SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'
"""
"""An administrator may have set it. PostgreSQL 13 does not have it."""

READER: Final[Mapping[str, str]] = {
    **_SERVER,
    # A reader locks no row, but while it holds its transaction no worker can change a table that it
    # has read.
    "idle_in_transaction_session_timeout": "60s",
    # The first one is for the transactions of a session, the second one for this transaction.
    "default_transaction_read_only": "on",
    "transaction_read_only": "on",
    "statement_timeout": "15s",
}
"""The session settings of a tool that only reads."""


def is_postgresql(url: str) -> bool:
    """Whether the URL names a PostgreSQL database."""
    return url.startswith(SCHEMES)


def connection_parameters(
    url: str, *, pooler: Pooler = "none", session: Mapping[str, str] = WRITER
) -> dict[str, Any]:
    """The arguments with which psycopg connects. The URL overrides ours, parameter by parameter.

    Of several hosts the first one that accepts writes is used, unless the URL says otherwise.

    Raises WrongSettings if libpq does not accept the URL. Its text never repeats the URL.
    """
    from psycopg import ProgrammingError  # SQLite does not need this driver
    from psycopg.conninfo import conninfo_to_dict

    try:
        url_parameters = conninfo_to_dict(url)
    except ProgrammingError:
        raise WrongSettings([URL_SYNTAX]) from None
    # Overrides the role's settings and PGCLIENTENCODING: commands and events may have any
    # character.
    parameters = {**_CLIENT, **url_parameters, "client_encoding": "UTF8"}
    _choose_server(parameters, may_write=session is WRITER)
    if pooler == "transaction":
        return {**parameters, "prepare_threshold": None}
    ours = " ".join(f"-c {name}={_escaped(value)}" for name, value in session.items())
    parameters["options"] = f"{ours} {url_parameters.get('options', '')}".rstrip()
    return parameters


def current_parameters(
    url: str, current_url: CurrentUrl, *, pooler: Pooler = "none"
) -> Callable[[], dict[str, Any]]:
    """A function that returns the arguments of the next connection.

    They are those of `connection_parameters`, with the user and the password of the current URL.
    Raises WrongSettings as that function does.
    """
    parameters = connection_parameters(url, pooler=pooler)
    return lambda: parameters | new_credentials(url, current_url())


def new_credentials(url: str, current: str) -> dict[str, Any]:
    """The user and the password of the current URL, if they are all that differs from `url`.

    Another database counts after a restart: the leases and locks of this process are in this one.
    """
    if current == url or not is_postgresql(current):
        return {}
    from psycopg.conninfo import conninfo_to_dict

    (place, _), (current_place, credentials) = map(_split, map(conninfo_to_dict, (url, current)))
    return credentials if current_place == place else {}


def _split(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The place of a database, and the user and the password."""
    credentials = {name: parameters.get(name) for name in ("user", "password")}
    return {k: v for k, v in parameters.items() if k not in credentials}, credentials


def _escaped(value: str) -> str:
    """The value of a setting in the options of a connection."""
    return value.replace(" ", r"\ ")


def _choose_server(parameters: dict[str, Any], *, may_write: bool) -> None:
    several = "," in str(parameters.get("host") or parameters.get("hostaddr") or "")
    if may_write and several:
        parameters.setdefault("target_session_attrs", "read-write")
    elif not may_write and parameters.get("target_session_attrs") == "read-write":
        # libpq would not accept our session as writable, because it is read-only by choice.
        parameters["target_session_attrs"] = "primary"


def longest_connect_seconds(parameters: Mapping[str, Any]) -> float:
    """How long the driver may take to connect: it tries the hosts in order, and each may be silent.

    `parameters` are those of `connection_parameters`.
    """
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "").count(",") + 1
    each = int(parameters.get("connect_timeout", 0)) or CONNECT_TIMEOUT_SECONDS
    return hosts * each + CONNECT_TIMEOUT_SECONDS


def open_postgresql(
    url: str,
    *,
    pooler: Pooler,
    session: Mapping[str, str] = WRITER,
    current_url: CurrentUrl | None = None,
    **pool: Any,  # noqa: ANN401 - SQLAlchemy's own
) -> sa.Engine:
    """An engine that is not connected yet. `pool` are SQLAlchemy's arguments about its pool.

    Each connection takes its user and its password from `current_url()`, else from `url`.

    Raises WrongSettings as `connection_parameters` does.
    """
    from worker.store.database.psycopg_timeout import connect_bounded

    parameters = connection_parameters(url, pooler=pooler, session=session)
    if pooler == "transaction":
        parameters["autocommit"] = True  # see `_begin_statement`
    engine = sa.create_engine(
        "postgresql+psycopg://", hide_parameters=True, connect_args=parameters, **pool
    )
    milliseconds = int(parameters["tcp_user_timeout"]) or LOST_PEER_TIMEOUT_SECONDS * 1000
    timeout_seconds = milliseconds / 1000 * SILENCE_FACTOR
    at_first = None
    if pooler == "none" and session is WRITER:
        at_first = NEVER_IDLE
        if _DURABILITY not in parameters["options"]:
            at_first += f"; SELECT {_DURABLE.format(is_local='false')}"

    @sa.event.listens_for(engine, "do_connect")
    def connect(
        _dialect: Any,  # noqa: ANN401 - the library's own
        _record: Any,  # noqa: ANN401
        _arguments: Any,  # noqa: ANN401
        parameters: dict[str, Any],
    ) -> object:
        credentials = new_credentials(url, current_url()) if current_url else {}
        return connect_bounded(timeout_seconds, at_first=at_first, **{**parameters, **credentials})

    if pooler == "transaction":
        begin_with(engine, _begin_statement(session))
    return engine


def _begin_statement(session: Mapping[str, str]) -> str:
    """Begins a transaction with the effect of a `SET LOCAL` for each of the settings.

    Both go in one message. The driver's own BEGIN would be a separate message. If a worker froze
    after it, it would keep one of the pooler's sessions, because no time-out is set yet.
    """
    calls = [
        f"set_config('{name}', '{value}', true)"
        for name, value in session.items()
        if not name.startswith("tcp_keepalives")  # the server's peer is the pooler
    ]
    durable = _DURABLE.format(is_local="true").strip()
    return f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT {', '.join((*calls, durable))}"
