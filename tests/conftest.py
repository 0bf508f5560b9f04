"""The services that tests run on. Each starts when the first test asks for it."""

import gc
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from recording_sandbox.services.install import ensure_program
from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import ensure_postgresql, launch_postgresql
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import ensure_rabbitmq, launch_rabbitmq
from recording_sandbox.services.tinyproxy import TinyProxy
from recording_sandbox.waiting import Eventually
from recording_sandbox.waiting import eventually as wait_for_fact
from tests.forked_process import FORK_SERVER
from tests.prepared_databases import PreparedPostgreSQL, PreparedSQLite
from tests.shared_broker import (
    BrokerHost,
    SharedNode,
    fork_server_address,
    launch_shared_node,
)
from tests.shared_statements import share_statements

TESTS = Path(__file__).parent
BROKER_FIXTURES = {"rabbitmq", "private_rabbitmq"}
BROKEN_BROKER = "reused_rabbitmq"
BROKER_HOST = pytest.StashKey[BrokerHost]()
DATABASE_FIXTURES = {
    "postgresql",
    "private_postgresql",
    "database_url",
    "empty_database_url",
    "pgbouncer",
}
SECONDS_PER_TEST = {"fault": 1.0, "e2e": 0.8}
"""A rough figure for each folder of tests that mostly wait. The others take hundredths of a second
of CPU."""
SECONDS_PER_FILE = {
    "contract/test_budget.py": 6.0,
    "contract/test_store_dead_replicas.py": 8.0,
    "e2e/test_bad_input.py": 1.0,
    "e2e/test_broker_access.py": 9.0,
    "e2e/test_broker_dead_letters.py": 21.0,
    "e2e/test_demo.py": 31.0,
    "e2e/test_late_files.py": 18.0,
    "e2e/test_one_id_two_bodies.py": 10.0,
    "e2e/test_probes.py": 37.0,
    "e2e/test_readme.py": 1.0,
    "e2e/test_replays.py": 26.0,
    "e2e/test_runbooks.py": 35.0,
    "e2e/test_shutdown.py": 7.0,
    "e2e/test_waiting_for_people.py": 6.0,
    "e2e/test_webhooks.py": 23.0,
    "e2e/test_whom_to_record.py": 32.0,
    "e2e/test_write_probes.py": 12.0,
    "fault/test_api_storms.py": 72.0,
    "fault/test_archive.py": 27.0,
    "fault/test_broker_faults.py": 30.0,
    "fault/test_budget_fleet.py": 22.0,
    "fault/test_chaos.py": 39.0,
    "fault/test_clocks.py": 2.0,
    "fault/test_cluster.py": 101.0,
    "fault/test_cut_off_clients.py": 31.0,
    "fault/test_database.py": 21.0,
    "fault/test_dead_replicas.py": 44.0,
    "fault/test_frozen_workers.py": 25.0,
    "fault/test_fuzz.py": 10.0,
    "fault/test_kill_points.py": 192.0,
    "fault/test_lost_answers.py": 30.0,
    "fault/test_max_seconds.py": 17.0,
    "fault/test_named_times.py": 15.0,
    "fault/test_poison.py": 32.0,
    "fault/test_reliability_report.py": 1.0,
    "fault/test_restarts.py": 30.0,
    "fault/test_scaling.py": 8.0,
    "fault/test_sqlite_files.py": 1.0,
    "fault/test_state_machine.py": 9.0,
    "fault/test_tcp_proxy.py": 1.0,
    "fault/test_upgrade.py": 3.0,
    "fault/test_volume_without_locks.py": 1.0,
    "fault/test_waiting_starts.py": 51.0,
    "fault/test_webhook_fuzz.py": 19.0,
    "helm/test_broker.py": 12.0,
    "helm/test_running.py": 28.0,
    "integration/test_alarm.py": 6.0,
    "integration/test_broker_outages.py": 20.0,
    "integration/test_cli_broker.py": 15.0,
    "integration/test_cli_status.py": 6.0,
    "integration/test_cli_worker.py": 8.0,
    "integration/test_console.py": 6.0,
    "integration/test_disputed_ends.py": 8.0,
    "integration/test_late_files.py": 7.0,
    "integration/test_launchers.py": 26.0,
    "integration/test_lost_start_answers.py": 7.0,
    "integration/test_one_id_two_bodies.py": 7.0,
    "integration/test_publisher.py": 5.0,
    "integration/test_relay.py": 45.0,
    "integration/test_silent_losses.py": 18.0,
    "integration/test_trace_propagation.py": 5.0,
    "integration/test_webhook_endpoint.py": 10.0,
}
"""Files of tests that mostly wait, unless the figure of their folder says enough."""
LONG_FILES = {"e2e/test_console_pages.py", "image/test_image.py"}
"""Files that compute for long, so that their processes begin with them."""
BUSY_PROCESSES = 2
"""So many begin with tests that compute, as many as a small machine has processors. What a process
needs before its first test of a kind costs seconds: a database server, compiled statements. So few
processes take such tests."""
PROGRAM_FIXTURES = {
    "bubblewrap": ("bwrap", "bubblewrap"),
    "chromium": ("chromium", "chromium"),
    "pgbouncer": ("pgbouncer", "pgbouncer"),
    "promtool": ("promtool", "prometheus"),
    "tinyproxy": ("tinyproxy", "tinyproxy"),
}


# A busy machine is slow now and then. How long an example takes is not what a test asserts.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


MEMORY = Path("/dev/shm")  # noqa: S108 - the directories that are made in it have new names
MIN_MEMORY_BYTES = 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """With several processes, the one that only hands out tests installs what they all need."""
    _keep_files_in_memory()
    os.environ.setdefault("GOGC", "400")  # Helm and promtool would collect a fifth of their time
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        _install(config, BROKER_FIXTURES | DATABASE_FIXTURES | PROGRAM_FIXTURES.keys())
        config.stash[BROKER_HOST] = BrokerHost()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The broker of all processes ends after them."""
    if BROKER_HOST in config.stash:
        config.stash[BROKER_HOST].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each process where the broker is to be asked for."""
    host = node.config.stash[BROKER_HOST]
    node.workerinput["broker_host"] = (host.address, host.key)


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
    """Keep modules and tests from the garbage collector, which would visit them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let some processes begin with the tests that wait, and the others with those that compute.

    `--dist worksteal` gives each process a contiguous part of the tests, and an idle process takes
    over the end of another one's part.
    """
    processes: int = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        items[:] = _in_shares(items, processes)


class _Kinds(NamedTuple):
    """The tests by kind: groups that wait, long ones that compute, others that do, unit tests."""

    waiting: list[list[pytest.Item]]
    long: list[pytest.Item]
    computing: list[pytest.Item]
    unit: list[pytest.Item]


def _in_shares(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The items in the order of the processes' shares, which are of equal size."""
    kinds = _by_kind(items)
    busy = min(BUSY_PROCESSES, processes - 1)
    busy_shares = [kinds.long[number::busy] for number in range(busy)]
    waiting_shares: list[list[pytest.Item]] = [[] for _ in range(processes - busy)]
    seconds = [0.0] * len(waiting_shares)
    for group in sorted(kinds.waiting, key=_seconds, reverse=True):  # stable on ties
        least = seconds.index(min(seconds))
        waiting_shares[least] += group
        seconds[least] += _seconds(group)
    size = len(items) // processes
    computing = _fill(busy_shares, size, kinds.computing)
    rest = _fill(waiting_shares, size, kinds.unit + computing)
    return [item for share in (*waiting_shares, *busy_shares, rest) for item in share]


def _fill(
    shares: list[list[pytest.Item]], size: int, items: list[pytest.Item]
) -> list[pytest.Item]:
    """Append items to the shares up to their size. Returns those that are left."""
    for share in shares:
        free = max(0, size - len(share))
        share += items[:free]
        items = items[free:]
    return items


def _by_kind(items: list[pytest.Item]) -> _Kinds:
    """The files that take a private broker are one group: each process that takes one boots its
    own."""
    breaking = {item.path for item in items if BROKEN_BROKER in getattr(item, "fixturenames", ())}
    groups: dict[Path | None, list[pytest.Item]] = {}
    kinds = _Kinds([], [], [], [])
    for item in items:
        if _file(item.path) in LONG_FILES:
            kinds.long.append(item)
        elif _seconds_per_test(item.path) or _file(item.path) in SECONDS_PER_FILE:
            groups.setdefault(None if item.path in breaking else item.path, []).append(item)
        elif item.path.is_relative_to(TESTS / "unit"):
            kinds.unit.append(item)
        else:
            kinds.computing.append(item)
    kinds.waiting.extend(groups.values())
    return kinds


def _file(path: Path) -> str:
    return path.relative_to(TESTS).as_posix()


def _seconds_per_test(path: Path) -> float:
    return SECONDS_PER_TEST.get(path.relative_to(TESTS).parts[0], 0.0)


def _seconds(group: list[pytest.Item]) -> float:
    tests = Counter(item.path for item in group)
    return sum(
        SECONDS_PER_FILE.get(_file(path), _seconds_per_test(path) * number)
        for path, number in tests.items()
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what is missing before the first test, whose time limit is no time to install in."""
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    names = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    _install(session.config, names)


def _install(config: pytest.Config, wanted: set[str]) -> None:
    if os.environ.get("AMQP_URL"):
        wanted.discard("rabbitmq")
    if os.environ.get("TEST_DATABASE_URL"):
        wanted -= DATABASE_FIXTURES - {"private_postgresql", "pgbouncer"}
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        if wanted & BROKER_FIXTURES:
            ensure_rabbitmq()
        if wanted & DATABASE_FIXTURES:
            ensure_postgresql()
        for name in wanted & PROGRAM_FIXTURES.keys():
            program, package = PROGRAM_FIXTURES[name]
            ensure_program(program, package=package)


@pytest.fixture(scope="session", autouse=True)
def fork_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """All processes of a run share what workers are forked from. It ends with the last test."""
    if FORK_SERVER is None:
        yield
        return
    if host := getattr(request.config, "workerinput", {}).get("broker_host"):
        FORK_SERVER.locate = lambda: fork_server_address(*host)
    yield
    FORK_SERVER.close()


@pytest.fixture(scope="session", autouse=True)
def shared_statements() -> None:
    """No test is about what SQLAlchemy compiles, so it compiles each statement once."""
    share_statements()


@pytest.fixture(scope="session")
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[RabbitMQNode]:
    """The broker all tests share, also those of other processes that run at the same time.

    A test that stops, kills or configures one takes `private_rabbitmq`.
    """
    host = getattr(request.config, "workerinput", {}).get("broker_host")
    with SharedNode(*host) if host else launch_shared_node() as node:
        yield node


@pytest.fixture(scope="session")
def reused_rabbitmq() -> Iterator[RabbitMQNode]:
    """What `private_rabbitmq` gives to one test after the other."""
    with launch_rabbitmq(private=True) as node:
        yield node


@pytest.fixture
def private_rabbitmq(reused_rabbitmq: RabbitMQNode) -> Iterator[RabbitMQNode]:
    """A broker for this test alone, to be stopped, killed and alarmed, and empty.

    A quorum queue that was declared a moment before a kill may come back without a leader: let
    fresh queues take and give a message first.
    """
    reused_rabbitmq.start()
    yield reused_rabbitmq
    reused_rabbitmq.start()
    reused_rabbitmq.reset()


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQNode) -> str:
    """Where the shared broker listens. Keep to names that begin with `names_prefix`."""
    return rabbitmq.amqp_url


@pytest.fixture
def names_prefix() -> str:
    """What the names of this test's exchanges and queues begin with (WORKER_NAME_PREFIX)."""
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQLServer]:
    """The server all tests share. A test that stops or kills one takes `private_postgresql`."""
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
    url = prepared_postgresql.create()
    yield url
    prepared_postgresql.drop(url)


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
    """What runs a process as a container does: a root that is read-only, no rights."""
    return PROGRAM_FIXTURES["bubblewrap"][0]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser that looks at the console."""
    return PROGRAM_FIXTURES["chromium"][0]


@pytest.fixture(scope="session")
def promtool() -> str:
    """What checks Prometheus's rules and plays time to them."""
    return PROGRAM_FIXTURES["promtool"][0]


@pytest.fixture
def eventually() -> Eventually:
    """`await eventually(fact)`: waits for a fact; see `recording_sandbox.waiting`."""
    return wait_for_fact
