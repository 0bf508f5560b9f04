"""A standby of a private PostgreSQL server on this machine: it streams, and can take over."""

from pathlib import Path

import psycopg

from recording_sandbox.services.postgresql_local import LocalServer
from recording_sandbox.services.processes import run, wait_until
from recording_sandbox.services.service import BOOT_TIMEOUT_SECONDS


class LocalStandby(LocalServer):
    """A streaming standby. It answers queries, and takes writes once it is promoted."""

    def __init__(self, programs: Path, primary: LocalServer) -> None:
        self._primary = primary
        super().__init__(programs, durable=False)

    def _create_cluster(self) -> None:
        arguments = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        run(
            [
                str(self._programs / "pg_basebackup"),
                f"--dbname={self._primary.url}",
                f"--pgdata={self.directory / 'data'}",
                *arguments,
            ],
            environ=self._environ,
            user=self._user,
        )

    def catch_up(self) -> None:
        """Return when it has replayed everything that the primary has written by now."""
        with psycopg.connect(self._primary.url) as primary:
            row = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone()
        with psycopg.connect(self.url, autocommit=True) as connection:
            replayed = "SELECT 1 WHERE pg_last_wal_replay_lsn() >= %s::pg_lsn"
            wait_until(
                lambda: bool(connection.execute(replayed, row).fetchall()),
                seconds=BOOT_TIMEOUT_SECONDS,
                otherwise=lambda: "The standby does not catch up.",
            )

    def fall_behind(self) -> None:
        """Receive no further commits of the primary, as if the link between the two were cut."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(
                lambda: not connection.execute("SELECT 1 FROM pg_stat_wal_receiver").fetchall(),
                seconds=BOOT_TIMEOUT_SECONDS,
                otherwise=lambda: "The standby continues to receive.",
            )

    def promote(self) -> None:
        """Take over: return when it accepts writes."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute("SELECT pg_promote()").fetchone()
        if row != (True,):
            raise RuntimeError("the standby was not promoted")
