"""The services that tests run on. Each starts when the first test asks for it."""

import gc
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from recording_sandbox.services.install import ensure_program
from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import ensure_postgresql, launch_postgresql
from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import ensure_rabbitmq, launch_rabbitmq
from recording_sandbox.services.tinyproxy import TinyProxy
from recording_sandbox.waiting import Eventually
from recording_sandbox.waiting import eventually as wait_for_fact
from tests.broker_state import broker_state
from tests.forked_process import FORK_SERVER
from tests.prepared_databases import PreparedPostgreSQL, PreparedSQLite
from tests.shared_broker import (
    BrokerHost,
    SharedNode,
    fork_server_address,
    launch_shared_node,
)
from tests.shared_statements import share_statements
from tests.shares import in_shares

BROKER_FIXTURES = {"rabbitmq", "private_rabbitmq"}
BROKER_HOST = pytest.StashKey[BrokerHost]()
DATABASE_FIXTURES = {
    "postgresql",
    "private_postgresql",
    "database_url",
    "empty_database_url",
    "pgbouncer",
}
PROGRAM_FIXTURES = {
    "bubblewrap": ("bwrap", "bubblewrap"),
    "chromium": ("chromium", "chromium"),
    "pgbouncer": ("pgbouncer", "pgbouncer"),
    "promtool": ("promtool", "prometheus"),
    "tinyproxy": ("tinyproxy", "tinyproxy"),
}


# A busy machine is slow at times. The duration of an example is not what a test asserts. All
# changes are judged by the same examples; `make faults` (FAULT_EXAMPLES) searches for new ones.
settings.register_profile(
    "busy",
    deadline=None,
    derandomize="FAULT_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("busy")


MEMORY = Path("/dev/shm")  # noqa: S108 - the directories that are made in it have new names
MIN_MEMORY_BYTES = 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """With several processes, the controller, which runs no tests, installs the programs for
    all."""
    _keep_files_in_memory()
    _heed_interrupts()
    os.environ.setdefault("GOGC", "400")  # Helm and promtool would collect a fifth of their time
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        _install(config, BROKER_FIXTURES | DATABASE_FIXTURES | PROGRAM_FIXTURES.keys())
        config.stash[BROKER_HOST] = BrokerHost()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the shared broker after all processes have ended."""
    if BROKER_HOST in config.stash:
        config.stash[BROKER_HOST].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give each process the address of the host that starts brokers."""
    host = node.config.stash[BROKER_HOST]
    node.workerinput["broker_host"] = (host.address, host.key)


def _heed_interrupts() -> None:
    """Shells let background jobs ignore SIGINT, and programs under test would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _keep_files_in_memory() -> None:
    """Make temporary files in memory, if there is room, unless TMPDIR says where.

    Brokers and databases sync their files at every commit, and no test is about a power failure.
    """
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return
    may_execute = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    if may_execute and shutil.disk_usage(MEMORY).free >= MIN_MEMORY_BYTES:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude modules and tests from garbage collection, which would visit them repeatedly.

    It also runs less often: with Python's own threshold it takes a twentieth of the CPU.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let some processes begin with the tests that wait, and the others with those that compute.

    `--dist worksteal` gives each process a contiguous part of the tests, and an idle process takes
    over the end of another one's part. The parts are of the tests that are left when all others are
    deselected. So this is done last.
    """
    processes: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items[:] = in_shares(items, processes)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install missing programs before the first test, because an installation may exceed its
    time-out."""
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    names = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    _install(session.config, names)


def _install(config: pytest.Config, fixtures: set[str]) -> None:
    if os.environ.get("AMQP_URL"):
        fixtures.discard("rabbitmq")
    if os.environ.get("TEST_DATABASE_URL"):
        fixtures -= DATABASE_FIXTURES - {"private_postgresql", "pgbouncer"}
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        try:
            if fixtures & BROKER_FIXTURES:
                ensure_rabbitmq()
            if fixtures & DATABASE_FIXTURES:
                ensure_postgresql()
            for name in fixtures & PROGRAM_FIXTURES.keys():
                program, package = PROGRAM_FIXTURES[name]
                ensure_program(program, package=package)
        except LaunchError as error:
            raise pytest.UsageError(str(error)) from None


@pytest.fixture(scope="session", autouse=True)
def fork_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """One fork server for all processes of a run. It ends with the last test."""
    if FORK_SERVER is None:
        yield
        return
    if host := getattr(request.config, "workerinput", {}).get("broker_host"):
        FORK_SERVER.locate = lambda: fork_server_address(*host)
    yield
    FORK_SERVER.close()


@pytest.fixture(scope="session", autouse=True)
def shared_statements() -> None:
    """Compile each statement once for all engines, because compiling takes time."""
    share_statements()


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[RabbitMQNode]:
    """The broker that the tests of all processes share.

    A test that stops, kills or configures one takes `private_rabbitmq`.
    """
    host = getattr(request.config, "workerinput", {}).get("broker_host")
    with SharedNode(*host) if host else launch_shared_node() as node:
        yield node


@pytest.fixture(scope="session")
def reused_rabbitmq() -> Iterator[RabbitMQNode]:
    """The broker that `private_rabbitmq` gives to one test after the other."""
    with launch_rabbitmq(private=True) as node:
        yield node


@pytest.fixture
def private_rabbitmq(
    reused_rabbitmq: RabbitMQNode, request: pytest.FixtureRequest
) -> Iterator[RabbitMQNode]:
    """A private broker for this test, empty, which the test may stop, kill and alarm.

    A quorum queue that was declared less than three seconds before a kill may return without a
    leader: send a message through new queues first. If the test fails, the broker's state is in its
    report.
    """
    reused_rabbitmq.start()
    failed_before = request.session.testsfailed
    yield reused_rabbitmq
    if request.session.testsfailed > failed_before:
        print(broker_state(reused_rabbitmq))
    reused_rabbitmq.start()
    reused_rabbitmq.reset()


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQNode) -> str:
    """Where the shared broker listens. Keep to names that begin with `names_prefix`."""
    return rabbitmq.amqp_url


@pytest.fixture
def names_prefix() -> str:
    """The prefix of this test's exchanges and queues (WORKER_NAME_PREFIX)."""
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """The server that all tests share. A test that kills one takes `private_postgresql`."""
    with launch_postgresql() as server:
        if not server.external:
            _leave_alone(server)
        yield server


def _leave_alone(server: PostgreSQLServer) -> None:
    """Tests leave hundreds of databases behind, and a vacuum would visit each every minute."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum_naptime = '1h'")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture
def private_postgresql() -> Iterator[PostgreSQLServer]:
    """A server for this test alone, to be stopped and killed; takes a second."""
    with launch_postgresql(private=True) as server:
        yield server


@pytest.fixture(scope="session")
def prepared_postgresql(postgresql: PostgreSQLServer) -> Iterator[PreparedPostgreSQL]:
    """Databases of the shared server that have the worker's tables."""
    with closing(PreparedPostgreSQL(postgresql)) as databases:
        yield databases


@pytest.fixture(scope="session")
def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> PreparedSQLite:
    """SQLite files that have the worker's tables."""
    return PreparedSQLite(tmp_path_factory.mktemp("prepared") / "state.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database with the worker's tables, in the manner of DATABASE_URL; on each engine."""
    return _database_of(request.param, request)


@pytest.fixture
def usual_database_url(request: pytest.FixtureRequest) -> str:
    """A new SQLite database with the worker's tables; with a parameter, of that engine."""
    return _database_of(getattr(request, "param", "sqlite"), request)


def _database_of(engine: str, request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{engine}_url")
    return url


@pytest.fixture
def sqlite_url(prepared_sqlite: PreparedSQLite, tmp_path: Path) -> str:
    """A new SQLite database with the worker's tables."""
    return prepared_sqlite.create(tmp_path / "state.db")


@pytest.fixture
def postgresql_url(prepared_postgresql: PreparedPostgreSQL) -> Iterator[str]:
    """A new PostgreSQL database with the worker's tables."""
    url = prepared_postgresql.take()
    yield url
    prepared_postgresql.give_back(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database without any table, for tests of the tables' creation; on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def pgbouncer(postgresql: PostgreSQLServer) -> Iterator[PgBouncer]:
    """PgBouncer in its transaction mode before the shared PostgreSQL."""
    with PgBouncer(postgresql.url) as pooler:
        yield pooler


@pytest.fixture
def tinyproxy() -> Iterator[TinyProxy]:
    """An HTTP proxy that asks for a name and a password."""
    with TinyProxy() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def bubblewrap() -> str:
    """bubblewrap runs a process as a container does: read-only root, no privileges."""
    return PROGRAM_FIXTURES["bubblewrap"][0]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that tests the console."""
    return PROGRAM_FIXTURES["chromium"][0]


@pytest.fixture(scope="session")
def promtool() -> str:
    """promtool evaluates Prometheus's rules at simulated times."""
    return PROGRAM_FIXTURES["promtool"][0]


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(condition)` waits for a condition; see `recording_sandbox.waiting`."""
    return wait_for_fact
