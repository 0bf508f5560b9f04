"""Launched services are usable, can be killed, and leave nothing behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aio_pika
import psycopg
import pytest
from pamqp.common import FieldTable

from recording_sandbox.services.pgbouncer import PgBouncer
from recording_sandbox.services.ports import free_ports, listens
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.processes import (
    Guard,
    LaunchError,
    OwnedDirectory,
    OwnedProcess,
    run,
    wait_until,
)
from recording_sandbox.services.rabbitmq import RabbitMQNode, speaks_amqp
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_sandbox.waiting import Eventually


def await_fact(fact: Callable[[], bool]) -> None:
    wait_until(fact, seconds=20, otherwise=lambda: "the fact never came true")


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def send_and_count(url: str, queue_name: str) -> int:
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel()
        arguments: FieldTable = {"x-queue-type": "quorum"}
        queue = await channel.declare_queue(queue_name, durable=True, arguments=arguments)
        message = aio_pika.Message(b"x", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue.name, timeout=10)
        again = await channel.declare_queue(queue_name, durable=True, arguments=arguments)
        return again.declaration_result.message_count or 0


async def test_the_shared_broker_accepts_messages(amqp_url: str, names_prefix: str) -> None:
    assert await send_and_count(amqp_url, f"{names_prefix}.queue") == 1


async def test_durable_messages_survive_a_restart_of_the_private_broker(
    private_rabbitmq: RabbitMQNode,
) -> None:
    node = private_rabbitmq
    await send_and_count(node.amqp_url, "kept")

    await asyncio.to_thread(node.restart)

    assert await send_and_count(node.amqp_url, "kept") == 2


def test_a_killed_broker_stops_at_once_and_can_be_started_again(
    private_rabbitmq: RabbitMQNode,
) -> None:
    private_rabbitmq.kill()
    assert not listens(private_rabbitmq.port)

    private_rabbitmq.start()

    assert speaks_amqp(private_rabbitmq.port)


@pytest.mark.timeout(240)
def test_the_memory_alarm_is_raised_and_cleared(private_rabbitmq: RabbitMQNode) -> None:
    private_rabbitmq.set_memory_alarm(on=True)
    raised = private_rabbitmq.evaluate("rabbit_alarm:get_alarms().")
    private_rabbitmq.set_memory_alarm(on=False)
    cleared = private_rabbitmq.evaluate("rabbit_alarm:get_alarms().")

    assert "memory" in raised
    assert cleared.strip() == "[]"


@pytest.mark.parametrize("expressions", ["ok = 1.", "no:such().", "1"])
def test_an_expression_that_the_broker_cannot_evaluate_is_an_error(
    rabbitmq: RabbitMQNode, expressions: str
) -> None:
    with pytest.raises(LaunchError):
        rabbitmq.evaluate(expressions)

    assert rabbitmq.evaluate('[1, {two, "three"}].').replace(" ", "") == '[1,{two,"three"}]'


def test_an_external_broker_can_be_used_and_not_killed() -> None:
    node = launch_rabbitmq(environ={"AMQP_URL": "amqp://somewhere:1234/"})

    assert (node.amqp_url, node.port, node.external) == ("amqp://somewhere:1234/", 1234, True)
    with pytest.raises(LaunchError, match="Unset AMQP_URL"):
        node.kill()
    node.close()


OWNER_THAT_DIES = """
import os, signal, sys
from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
node = launch_rabbitmq(private=True)
server = launch_postgresql(private=True)
print(node.port, node.directory, server.url, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_broker_and_server_leave_nothing_behind_when_their_owner_is_killed() -> None:
    owner = subprocess.run(
        [sys.executable, "-c", OWNER_THAT_DIES], capture_output=True, check=False
    )
    port, broker_files, url, server_files = owner.stdout.decode().split()

    assert owner.returncode == -signal.SIGKILL
    await_fact(lambda: not listens(int(port)))
    await_fact(lambda: not listens(int(url.split(":")[-1].split("/")[0])))
    await_fact(lambda: not Path(broker_files).exists() and not Path(server_files).exists())
    await_fact(lambda: not processes_that_mention(broker_files, server_files))


def processes_that_mention(*texts: str) -> list[str]:
    listing = run(["ps", "-e", "-o", "args"])
    return [line for line in listing.splitlines() if any(text in line for text in texts)]


def test_every_test_has_a_separate_database(postgresql: PostgreSQLServer) -> None:
    first, second = postgresql.new_database(), postgresql.new_database()

    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE mine (id int)")

    with psycopg.connect(second) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    postgresql.drop_database(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_a_copied_database_has_the_tables_of_its_template(postgresql: PostgreSQLServer) -> None:
    template = postgresql.new_database()
    with psycopg.connect(template) as connection:
        connection.execute("CREATE TABLE mine (id int)")

    copy = postgresql.new_database(template)

    with psycopg.connect(copy) as connection:
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_committed_rows_survive_the_end_of_the_server(
    private_postgresql: PostgreSQLServer, ending: str
) -> None:
    url = private_postgresql.new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1 AS id")

    getattr(private_postgresql, ending)()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    private_postgresql.start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM mine").fetchone() == (1,)


def test_after_a_kill_no_session_of_the_server_answers(
    private_postgresql: PostgreSQLServer,
) -> None:
    """Also one that has not noticed it yet."""
    with psycopg.connect(private_postgresql.url) as client:
        session = client.info.backend_pid
        os.kill(session, signal.SIGSTOP)
        private_postgresql.kill()
        await_fact(lambda: not alive(session))


def test_a_killed_server_starts_again_while_an_old_client_still_exists(
    private_postgresql: PostgreSQLServer,
) -> None:
    url = private_postgresql.new_database()
    with psycopg.connect(url, autocommit=True) as client:
        client.execute("CREATE TABLE mine AS SELECT 1 AS id")
        private_postgresql.kill()
        private_postgresql.start()

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT id FROM mine").fetchone() == (1,)


def test_a_user_without_programs_of_services_on_the_path_can_start_a_pooler(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    with PgBouncer(postgresql_url) as pooler, psycopg.connect(pooler.url(postgresql_url)) as client:
        assert client.execute("SELECT 1").fetchone() == (1,)


def test_an_external_server_can_be_used_and_not_stopped() -> None:
    server = launch_postgresql(environ={"TEST_DATABASE_URL": "postgresql://somewhere/db"})

    assert (server.url, server.external) == ("postgresql://somewhere/db", True)
    with pytest.raises(LaunchError, match="TEST_DATABASE_URL"):
        server.stop()


def test_each_engine_gets_an_empty_database(database_url: str) -> None:
    assert database_url.startswith(("sqlite:////", "postgresql://"))


def test_a_guard_runs_when_its_owner_is_killed_unless_it_was_released(tmp_path: Path) -> None:
    program = (
        "import os, sys; from recording_sandbox.services.processes import Guard;"
        "Guard('touch \"$1\"', sys.argv[1]); g = Guard('touch \"$1\"', sys.argv[2]); g.release();"
        "os.kill(os.getpid(), 9)"
    )
    acted, released = tmp_path / "acted", tmp_path / "released"

    subprocess.run([sys.executable, "-c", program, str(acted), str(released)], check=False)

    await_fact(acted.exists)
    assert not released.exists()


def test_a_guard_may_be_released_twice() -> None:
    guard = Guard("true")
    guard.release()
    guard.release()


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = ["/bin/sh", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 60; done"]
    process = OwnedProcess(command, environ=os.environ, log=tmp_path / "log")
    await_fact(ready.exists)

    process.end(signal.SIGTERM, seconds=0.1)

    assert not process.running
    assert not alive(process.pid)


def test_the_children_of_a_process_end_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = OwnedProcess(["/bin/sh", "-c", "sleep 600 & echo $!; wait"], environ={}, log=log)
    await_fact(lambda: log.read_text().endswith("\n"))

    process.end(signal.SIGKILL, seconds=5)

    await_fact(lambda: not alive(int(log.read_text())))


def test_the_end_of_a_process_log_can_be_read(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo to be said; exit 1"]
    process = OwnedProcess(command, environ=os.environ, log=tmp_path / "log")

    await_fact(lambda: not process.running)
    process.kill()

    assert process.log_tail() == "to be said\n"


LIMITED = """
import resource, sys
from recording_sandbox.services.processes import run, with_open_files
soft, hard, limit = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(run(with_open_files(limit, ["sh", "-c", "ulimit -n"])).strip())
"""


@pytest.mark.parametrize(
    ("soft", "hard", "limit", "open_files"),
    [(256, 512, 4096, "512"), (256, 512, 384, "384"), (384, 512, 256, "384")],
)
def test_a_service_may_open_as_many_files_as_its_user_is_allowed(
    soft: int, hard: int, limit: int, open_files: str
) -> None:
    limits = map(str, (soft, hard, limit))

    assert run([sys.executable, "-c", LIMITED, *limits]).strip() == open_files


def test_a_failing_command_is_reported_with_its_output() -> None:
    with pytest.raises(LaunchError, match=r"exited with 3:\nno luck"):
        run(["/bin/sh", "-c", "echo no luck >&2; exit 3"])


def test_a_temporary_directory_is_removed_with_its_content() -> None:
    directory = OwnedDirectory("test-")
    (directory.path / "file").write_text("x")

    directory.remove()

    assert not directory.path.exists()


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)

    assert len(set(ports)) == 20
    with socket.socket() as first:
        first.bind(("127.0.0.1", ports[0]))


ANOTHER = (
    "import sys; from recording_sandbox.services.ports import _reserve;"
    "print(_reserve(int(sys.argv[1])))"
)


def test_a_port_is_given_to_no_other_process_while_its_owner_lives() -> None:
    owner = (
        "import sys; from recording_sandbox.services.ports import free_ports; print(*free_ports(1))"
    )
    (port,) = free_ports(1)
    formerly = run([sys.executable, "-c", owner]).strip()

    assert run([sys.executable, "-c", ANOTHER, str(port)]) == "False\n"
    assert run([sys.executable, "-c", ANOTHER, formerly]) == "True\n"


async def test_eventually_returns_the_first_true_value(eventually: Eventually) -> None:
    answers = iter([0, None, 7, 8])
    assert await eventually(lambda: next(answers)) == 7


async def test_eventually_waits_for_a_coroutine_that_asserts(eventually: Eventually) -> None:
    answers = iter([1, 2, 3])

    async def is_three() -> bool:
        assert next(answers) == 3
        return True

    assert await eventually(is_three)


async def test_the_error_of_eventually_names_the_fact(eventually: Eventually) -> None:
    with pytest.raises(AssertionError, match=r"the queue is empty: not within 0.01 s; last: False"):
        await eventually(lambda: False, seconds=0.01, description="the queue is empty")
