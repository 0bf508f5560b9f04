"""Checks DATABASE_URL before anything connects: an SQLite file, or a URL for libpq."""

import re
from typing import Final
from urllib.parse import urlsplit

from worker.domain.hosts import IMPOSSIBLE_HOST, hosts_of, is_possible_host

SYNTAX: Final = (
    "must be sqlite:///relative.db, sqlite:////absolute.db"
    " or postgresql://user:password@host:5432/database"
)
_POSTGRESQL: Final = re.compile(r"(?:postgresql|postgres)://(?P<netloc>[^/?]*)")
_WHOLE_NUMBERS: Final = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""libpq checks these only during a connection attempt."""
_UNKNOWN_OPTION: Final = re.compile(r'invalid URI query parameter: "(\w+)"')


def database_url(text: str) -> str:
    """Check the URL of an SQLite file or of a PostgreSQL database."""
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError(SYNTAX)
    if found := _POSTGRESQL.match(text):
        _check_postgresql(text, netloc=found["netloc"])
    elif not _is_sqlite_file(text):
        raise ValueError(SYNTAX)
    elif "?" in text:
        raise ValueError("has options after `?`, but an SQLite file takes none")
    elif "%00" in text:
        raise ValueError("has %00, which no file name can have")
    elif text == "sqlite:///:memory:":
        raise ValueError("must name a file, because a database in memory does not last")
    return text


def _is_sqlite_file(text: str) -> bool:
    """Whether the URL has nothing before the third slash and a path after it."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if parts.scheme != "sqlite" or parts.netloc:
        return False
    return len(parts.path) > 1 and text.startswith("sqlite:///")


def _check_postgresql(text: str, *, netloc: str) -> None:
    """Raise ValueError unless libpq accepts the URL and the values of its options."""
    from psycopg import ProgrammingError  # SQLite does not need this driver
    from psycopg.conninfo import conninfo_to_dict

    try:
        hosts_of(netloc)
        parameters = conninfo_to_dict(text)
    except ProgrammingError as error:
        if unknown := _UNKNOWN_OPTION.match(str(error)):
            raise ValueError(f"has the option {unknown[1]}, which libpq does not know") from None
        raise ValueError(SYNTAX) from None
    except ValueError:
        raise ValueError(SYNTAX) from None
    if not (parameters.get("dbname") or parameters.get("service")):
        raise ValueError(SYNTAX)
    _check_host_names(str(parameters.get("host") or ""))
    _check_values({name: str(value) for name, value in parameters.items()})


def _check_host_names(hosts: str) -> None:
    """Raise ValueError for a name that cannot be looked up. A socket has a path instead."""
    names = [name for name in hosts.split(",") if name and not name.startswith(("/", "@"))]
    if not all(map(is_possible_host, names)):
        raise ValueError(IMPOSSIBLE_HOST)


def _check_values(parameters: dict[str, str]) -> None:
    """Raise ValueError for a value that libpq refuses, such as an unknown `sslmode`.

    libpq checks the values when it begins to connect. Here each host is a socket that does not
    exist, so nothing is sent.
    """
    from psycopg import pq
    from psycopg.conninfo import make_conninfo

    for name in _WHOLE_NUMBERS:
        if not re.fullmatch("[0-9]{1,9}", parameters.get(name, "0")):
            raise ValueError(f"has the option {name}, which must be a whole number")
    secrets = [value for name, value in parameters.items() if "pass" in name and value]
    sockets = ",".join(["/nowhere"] * _count_hosts(parameters))
    nowhere = {**parameters, "host": sockets, "hostaddr": ""}
    connection = pq.PGconn.connect_start(make_conninfo(**nowhere).encode())
    lines = connection.error_message.decode(errors="replace").splitlines()
    connection.finish()
    # Each tried host has a separate line, and a hint is an indented line.
    refusals = [line for line in lines if not line.startswith(("connection to server", "\t"))]
    if not refusals:
        return
    if any(secret in refusals[0] for secret in secrets):
        raise ValueError(SYNTAX)
    raise ValueError(f"has an option that libpq refuses: {refusals[0]}")


def _count_hosts(parameters: dict[str, str]) -> int:
    """How many hosts there are to try. Each may have a name and an address."""
    counts = {
        name: parameters[name].count(",") + 1
        for name in ("host", "hostaddr")
        if parameters.get(name)
    }
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"has {counts['host']} hosts in host, but {counts['hostaddr']} in hostaddr"
        )
    return max(counts.values(), default=1)
