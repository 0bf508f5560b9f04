"""The console runs in its rendered pod, with a user of the database who may only read."""

import re
from pathlib import Path
from typing import Final

import aiohttp
import psycopg
import pytest
from psycopg import sql

from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from tests.contract.store.test_pruning import observation
from tests.helm.bubblewrap_pod import Pod
from tests.helm.chart import manifests, merged
from tests.helm.test_console import ON, spec_of
from worker.store.store import Store

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-console.md"
TOKEN: Final = "a-token-of-the-console"  # noqa: S105 - of this test


def reader_of(url: str) -> str:
    """The URL of a user with the rights that the page says."""
    (statements,) = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    parts = psycopg.conninfo.conninfo_to_dict(url)
    database, owner = str(parts["dbname"]), str(parts["user"])
    reader = f"reader_{database}"
    names = {"recordings_reader": reader, "recordings": database, "worker": owner}
    for name, other in names.items():
        statements = re.sub(rf"\b{name}\b", sql.Identifier(other).as_string(), statements)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.replace("'…'", "'sesame'").encode())
    return f"postgresql://{reader}:sesame@{parts['host']}:{parts.get('port', 5432)}/{database}"


@pytest.mark.usefixtures("bubblewrap")
async def test_the_console_runs_in_its_pod_with_a_user_who_may_only_read(
    amqp_url: str,
    names_prefix: str,
    postgresql: PostgreSQLServer,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    (port,) = free_ports(1)
    url = postgresql.new_database()
    reader = reader_of(url)
    store = await Store.open(url, source="test")  # its tables are created after the grants
    await store.apply([observation("r-1")])
    await store.close()
    found = manifests(
        merged(
            ON,
            {
                "console": {"service": {"port": port}, "database": {"existingSecret": "reader"}},
                "settings": {"WORKER_NAME_PREFIX": names_prefix},
            },
        )
    )
    secrets = {
        "console": {"console-token": TOKEN},
        "operator": {"amqp-url": amqp_url},
        "reader": {"database-url": reader},
    }
    (container,) = spec_of(found)["containers"]
    with Pod(found, secrets, tmp_path) as running:
        console = running.run(container, spec=spec_of(found))

        async def is_ready() -> bool:
            assert console.running, console.output
            return await status_of(console.url("readinessProbe")) == 200

        await eventually(is_ready, seconds=60)
        base = f"http://127.0.0.1:{port}/api/recordings"
        assert await status_of(base) == 401
        assert await status_of(base, Authorization=f"Bearer {TOKEN}") == 200
    with (
        psycopg.connect(reader) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DELETE FROM recordings")


async def status_of(url: str, **headers: str) -> int:
    """0 while nothing listens on the port."""
    try:
        async with aiohttp.ClientSession(headers=headers) as http, http.get(url) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0
