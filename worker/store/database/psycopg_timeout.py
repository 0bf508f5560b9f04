"""A PostgreSQL connection on which no exchange with the server lasts forever.

The server enforces `statement_timeout`, and TCP's own time-outs end when packets are acknowledged.
A proxy or a load balancer between them can defeat both.
"""

import time
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen

ResultT = TypeVar("ResultT")

POOLER_ADVICE: Final = (
    "a pooler such as PgBouncer refuses the options of the session: set "
    "WORKER_DATABASE_POOLER=transaction, and leave `options` out of DATABASE_URL"
)


ENCODING: Final = "UTF8"
"""The only encoding of a database that has every character and counts characters, not bytes, in
columns of a limited length."""


class BoundedConnection(psycopg.Connection[Any]):
    """Closes itself if one exchange with the server takes longer than `timeout_seconds`."""

    timeout_seconds: float = 20.0

    def wait(
        self, gen: PQGen[ResultT], interval: float = 0.1, timeout: float | None = None
    ) -> ResultT:
        """Wait for the end of an exchange. Raises psycopg.OperationalError if it takes too long."""
        limit = self.timeout_seconds if timeout is None else min(timeout, self.timeout_seconds)
        deadline = time.monotonic() + self.timeout_seconds
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            self.close()  # the state of the exchange is unknown
            raise psycopg.OperationalError(
                f"the database was silent for {self.timeout_seconds:g} s"
            ) from error


def connect_bounded(
    timeout_seconds: float,
    *,
    at_first: str | None = None,
    **parameters: Any,  # noqa: ANN401
) -> BoundedConnection:
    """Connect, and execute the statement `at_first`.

    Raises psycopg.OperationalError, with advice if a pooler refuses our options or if the database
    has another encoding.
    """
    try:
        connection = BoundedConnection.connect(**parameters)
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" not in str(error):
            raise
        raise psycopg.OperationalError(POOLER_ADVICE) from error
    connection.timeout_seconds = timeout_seconds
    try:
        _check_encoding(connection)
        if at_first is not None:
            connection.execute(at_first.encode())
            connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _check_encoding(connection: BoundedConnection) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding is not None and encoding != ENCODING:
        raise psycopg.OperationalError(
            f"the database has the encoding {encoding}, and the worker needs {ENCODING}: name a "
            f"database that was created with ENCODING '{ENCODING}' TEMPLATE template0"
        )
