"""Each alert's section of docs/how-to/operations.md, on a running worker with the fault present.

Every command is in the section, and runs with the rights that the section names: those of the
worker in its pod, or those of an operator.
"""

import json
import re
import shlex
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, Final

import aio_pika
import pytest
import yaml

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import eventually
from recording_schemas import StatusChanged
from tests.e2e.worker_environment import API_TOKEN, WorkerEnvironment, open_worker_environment
from tests.integration.cli_process import CommandLine, FinishedProcess

PROJECT: Final = Path(__file__).parents[2]
PAGE: Final = PROJECT / "docs" / "how-to" / "operations.md"
DEPLOY: Final = PROJECT / "docs" / "how-to" / "deploy.md"
CHART: Final = PROJECT / "helm" / "recording-worker"
CHART_README: Final = CHART / "README.md"
DELAYS: Final = "0.2,1,5"
PASSWORD: Final = "sesame-opens"  # noqa: S105 - of users that end with the test
NOBODYS: Final = "97f1f6a2-1111-4222-8333-944455556666"
LONG_GONE: Final = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxAAAAAAAAAAAAAAAA.AAAA=="


def documented(page: Path, user: str) -> list[str]:
    """The patterns that the page gives to this user: configure, write, read."""
    (line,) = re.findall(
        rf"rabbitmqctl set_permissions .*# {user}$",
        page.read_text().replace("\\\n", ""),
        re.MULTILINE,
    )
    return shlex.split(line, comments=True)[-3:]


class Users:
    """Users of the broker with exactly the documented rights, and their URLs."""

    def __init__(self, rabbitmq: RabbitMQNode, prefix: str) -> None:
        self._rabbitmq = rabbitmq
        self._prefix = prefix

    def name(self, user: str) -> str:
        return f"{self._prefix}-{user}"

    def add(self, user: str, page: Path) -> str:
        self._rabbitmq.add_user(self.name(user), PASSWORD)
        self.grant(user, *documented(page, user))
        return f"amqp://{self.name(user)}:{PASSWORD}@127.0.0.1:{self._rabbitmq.port}/"

    def grant(self, user: str, *patterns: str) -> None:
        configure, write, read = (
            pattern.replace("recording", self._prefix) for pattern in patterns
        )
        self._rabbitmq.set_permissions(self.name(user), configure=configure, write=write, read=read)

    def delete(self, user: str) -> None:
        self._rabbitmq.delete_user(self.name(user))


class Bench:
    """A worker as the chart runs it, with a shell in its pod."""

    def __init__(self, environment: WorkerEnvironment, operator_url: str, users: Users) -> None:
        self.environment = environment
        self.sandbox = environment.sandbox
        self.users = users
        self.admin_url = ""
        self.archive = environment.worker.directory / "archive"
        self.archive_aside = environment.worker.directory / "archive-aside"
        self._operator_url = operator_url
        worker = environment.worker
        self._cli = CommandLine(worker.settings, worker.directory)

    async def run(
        self,
        arguments: list[str],
        *,
        as_operator: bool = False,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> FinishedProcess:
        """Run a command in the pod. An operator's URL is passed on stdin, as the page says."""
        if not as_operator:
            return await self._cli(*arguments, stdin=b"", **environ)
        return await self._cli(
            *arguments, stdin=self._operator_url.encode(), AMQP_URL_FILE="/dev/stdin"
        )

    async def restart(self, **environ: str) -> None:
        """Start the worker again, with these settings changed."""
        worker = self.environment.worker
        if worker.running:
            await worker.stop()
        worker.settings.update(environ)
        await worker.start()
        await worker.ready()

    async def checks(self) -> dict[str, dict[str, Any]]:
        """The lines of `status`."""
        shown = await self.run(["status"])
        return {check["name"]: check for check in shown.lines[0]["checks"]}

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = self.environment.worker.log.read_text().splitlines()
        return [json.loads(line) for line in lines if f'"{event}"' in line]


class Section:
    """One alert's section of the page."""

    def __init__(self, alert: str, bench: Bench) -> None:
        page = PAGE.read_text()
        self.text = " ".join(page.partition(f"### {alert}\n")[2].partition("\n### ")[0].split())
        self.bench = bench

    async def run(
        self, command: str, *, environ: Mapping[str, str] = MappingProxyType({}), **variables: str
    ) -> FinishedProcess:
        """Run a command of the section, with the rights that its step names.

        `environ` are variables in place of the pod's.
        """
        before, found, _ = self.text.partition(f"`recording-worker {command}`")
        assert found, f"the section does not say `recording-worker {command}`"
        step = re.split(r" \d+\. ", before)[-1]
        words = shlex.split(Template(command).substitute(variables))
        return await self.bench.run(words, as_operator="s operator," in step, environ=environ)

    async def waits_for_status(self, name: str, state: str, words: str) -> None:
        """Wait until `status`, which the section names, has this line."""
        assert "`recording-worker status`" in self.text
        assert f"`{name}`" in self.text

        async def has_line() -> bool:
            checks = await self.bench.checks()
            check = checks.get(name)
            assert check is not None, checks
            assert check["state"] == state, check
            assert words in check["text"], check
            return True

        await eventually(has_line, seconds=30)

    async def waits_for_log(self, event: str, words: str) -> None:
        """Wait for a log line that the section names."""
        assert f"`{event}`" in self.text

        async def is_shown() -> bool:
            return any(words in str(line["reason"]) for line in self.bench.log(event))

        await eventually(is_shown, seconds=30)


# The sections, in an order in which each leaves the worker well


async def no_consumer(section: Section) -> None:
    """The worker's user may not read the queue of commands."""
    bench = section.bench
    worker, users = bench.environment.worker, bench.users
    configure, write, _ = documented(CHART_README, "verify")
    await worker.stop()
    users.grant("worker", configure, write, r"^recording\.commands\.unanswered$")
    await worker.start()

    await section.waits_for_status("consuming", "failed", "ACCESS_REFUSED")
    await section.waits_for_status("queue", "failed", "0 consumers")
    checked = await section.run("topology check")

    assert {row["state"] for row in checked.lines} == {"no_permission"}
    assert "Warning: not compared" in checked.err
    users.grant("worker", *documented(CHART_README, "verify"))
    await worker.ready()


async def dead_letters(section: Section) -> None:
    """A publisher sends a message that is not a command."""
    messages = section.bench.environment.messages
    for number in range(2):
        await messages.send_raw(b"not json %d" % number, routing_key="start_recording")

    async def both_are_there() -> bool:
        listed = await section.run("dead list")
        assert len(listed.lines) == 2, listed
        return True

    await eventually(both_are_there, seconds=30)
    listed, shown = await section.run("dead list"), await section.run("dead show 1")
    first, second = (str(row["letter"]) for row in listed.lines)
    raw = await section.run("dead show --raw 1")
    replayed = await section.run('dead replay "$LETTER"', LETTER=second[:6] + "…")
    dropped = await section.run('dead drop "$LETTER" --yes', LETTER=first)
    refused = await section.bench.run(["dead", "list"])

    assert {row["reason_code"] for row in listed.lines} == {"not_json"}
    assert shown.lines[0]["letter"] == raw.lines[0]["letter"] == first
    assert (replayed.code, dropped.code) == (0, 0)
    assert (refused.code, "ACCESS_REFUSED" in refused.err) == (1, True)
    assert "docs/how-to/deploy.md" in refused.err


async def commands_fail(section: Section) -> None:
    """The product refuses starts for longer than a command may live."""
    bench = section.bench
    full = Fault(kind="refuse", operation="start_recording", status=429)
    fault = bench.sandbox.faults.add(full)
    await bench.environment.send(
        type="start_recording", id="no-place", meeting_id=bench.environment.meeting_id
    )
    await bench.environment.outcome("no-place")
    bench.sandbox.faults.clear(fault)

    listed = await section.run("outcomes --outcome failed --since 15m")
    counted = await section.run("outcomes --summary --since 15m")

    assert listed.lines[0]["command_id"] == "no-place"
    code = listed.lines[0]["code"]
    assert f"`{code}`" in section.text
    assert ("failed", code) in [(row["outcome"], row["code"]) for row in counted.lines]


async def stalled(section: Section) -> None:
    """Two recordings never begin."""
    bench = section.bench
    fault = bench.sandbox.faults.add(Fault(kind="stuck_invoked"))
    ids: list[str] = []
    for number in range(2):
        meeting = f"5f0e2f5c-9b1d-4a53-8f3f-2f8f1e0c7b1{number}"
        await bench.environment.start(f"stuck-{number}", meeting_id=meeting)
        outcome = await bench.environment.outcome(f"stuck-{number}")
        ids += outcome.data.recording_ids  # type: ignore[union-attr]  # else the test fails here

    command = "recordings --sort unchanged --status INVOKED --limit 5"
    found = await section.run(command)
    short = ids[0][:8]
    read = await section.run(
        'send sync_recording --recording-id "$RECORDING" --wait', RECORDING=short
    )
    bench.sandbox.faults.clear(fault)
    ended = await section.run(
        'send stop_recording --recording-id "$RECORDING" --wait', RECORDING=ids[1]
    )

    shown = [row["recording_id"] for row in found.lines]  # of other sections too
    assert [recording_id for recording_id in shown if recording_id in ids] == ids
    assert read.code == 0, read.err
    assert read.lines[0]["type"] == "command.succeeded.v1"
    assert ended.lines, ended.err


async def api_outage(section: Section) -> None:
    """The token is refused."""
    tokens = section.bench.sandbox.tokens
    tokens.revoke(API_TOKEN)
    await section.waits_for_status("api", "failed", "unauthorized")
    await section.waits_for_status("api", "failed", "REALTIMEKIT_API_TOKEN")
    await section.waits_for_status("api", "failed", "the circuit has been open for")
    tokens.allow(API_TOKEN)
    await section.bench.environment.worker.ready()


async def budget_exhausted(section: Section) -> None:
    """The API throttles the worker."""
    faults = section.bench.sandbox.faults
    fault = faults.add(Fault(kind="refuse", status=429, envelope="cloudflare", retry_after=4))
    await section.waits_for_status("budget", "warning", "the API throttles")
    faults.clear(fault)
    await section.bench.environment.worker.ready()


async def unknown_status(section: Section) -> None:
    """The API reports an unknown status."""
    bench = section.bench
    bench.sandbox.behaviour.change({"shown_statuses": {"RECORDING": "TRANSCODING"}})

    async def is_shown() -> bool:
        rows = (await section.run("recordings")).lines
        return any(row["unknown_status"] == "TRANSCODING" for row in rows)

    await eventually(is_shown, seconds=30)
    assert "`recording_status_unknown`" in section.text
    assert bench.log("recording_status_unknown")
    bench.sandbox.behaviour.change({"shown_statuses": {}})


async def not_following(section: Section) -> None:
    """The list of live recordings fails."""
    faults = section.bench.sandbox.faults
    fault = faults.add(Fault(kind="refuse", operation="list_recordings", status=503))
    await section.waits_for_log("sweep_failed", "")
    faults.clear(fault)
    await section.waits_for_status("sweep", "ok", "ago")


async def outbox_ages(section: Section) -> None:
    """A subscriber's queue is full."""
    bench = section.bench
    async with full_queue(bench) as empty:
        await bench.environment.start("more", meeting_id="5f0e2f5c-9b1d-4a53-8f3f-2f8f1e0c7b15")
        await section.waits_for_status("outbox", "warning", "refused by RabbitMQ")
        await section.waits_for_log("event_publish_failed", "")
        assert (await bench.checks())["leader"]["state"] == "ok"
        checked = await section.run("topology check")
        await empty()
    assert checked.code == 0


async def events_set_aside(section: Section) -> None:
    """A reply goes to an address of another cluster. `prepare` has sent that command."""
    bench = section.bench
    found: list[Any] = []

    async def is_listed() -> bool:
        found[:] = (await section.run("store set-aside")).lines
        return bool(found)

    await eventually(is_listed, seconds=60)
    again = await section.run("store publish-again --all")
    assert found[0]["exchange"] == "reply"
    assert again.code == 0
    assert (await bench.checks())["outbox"]["see"] in {"recording-worker store set-aside", None}


async def archive_refused(section: Section) -> None:
    """A file has the path of the archive's folder, since the beginning of the test."""
    await section.waits_for_status("archive", "failed", "refused by the storage")
    rows = (await section.run("archive list --wide")).lines
    assert {row["state"] for row in rows} == {"queued"}
    assert any("storage_refused" in str(row) for row in rows)


async def archive_waits(section: Section) -> None:
    """The file is still there."""
    assert (await section.run("archive list")).lines


async def archive_expires(section: Section) -> None:
    """The problem remains until an operator corrects it."""
    rows = (await section.run("archive list")).lines
    section.bench.archive.unlink()
    section.bench.archive_aside.rename(section.bench.archive)
    recording_id = rows[0]["recording_id"]
    sent = await section.run('archive retry "$RECORDING"', RECORDING=recording_id[:8])

    async def is_archived() -> bool:
        rows = (await section.run("archive list")).lines
        return {row["state"] for row in rows if row["recording_id"] == recording_id} == {"archived"}

    assert sent.lines[0]["recording_id"] == recording_id
    await eventually(is_archived, seconds=60)


async def files_not_archived(section: Section) -> None:
    """A setting forbids the host of the files."""
    bench = section.bench
    worker = bench.environment.worker
    await bench.restart(WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES="off")
    await bench.environment.start("given-up", meeting_id="5f0e2f5c-9b1d-4a53-8f3f-2f8f1e0c7b17")
    started = await bench.environment.event(StatusChanged, status="RECORDING", start_id="given-up")
    recording_id = started.subject
    await bench.environment.send(type="stop_recording", id="stop-up", start_id="given-up")
    found: list[Any] = []

    async def are_given_up() -> bool:
        rows = (await section.run("archive list")).lines
        found[:] = [row for row in rows if row["recording_id"] == recording_id]
        return {row["state"] for row in found} == {"failed"}

    await eventually(are_given_up, seconds=60)
    errors = {error["code"]: error["message"] for error in (row["error"] for row in found)}
    ((code, message),) = errors.items()
    assert f"`{code}`" in section.text
    assert "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES" in message
    await bench.restart(WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES="on")
    sent = await section.run("archive retry --failed")
    assert [row["recording_id"] for row in sent.lines] == [recording_id]

    async def are_archived() -> bool:
        await are_given_up()
        return {row["state"] for row in found} == {"archived"}

    await eventually(are_archived, seconds=60)
    assert worker.running


async def store_trouble(section: Section) -> None:
    """Another process holds a write transaction. Then the file is removed."""
    bench = section.bench
    worker = bench.environment.worker
    path = worker.directory / "state.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await section.waits_for_status("store", "failed", "database is locked")
        assert "`database is locked`" in section.text
        other.execute("ROLLBACK")
    await section.waits_for_status("store", "ok", "")
    path.unlink()
    await section.waits_for_status("store", "failed", "was removed while the worker has it open")
    assert "`was removed while the worker has it open`" in section.text
    await section.waits_for_log("store_files_lost", "was removed")
    (copy,) = path.parent.glob("state.db.saved-*")
    assert str(copy.name) in str(bench.log("store_files_lost")[-1]["reason"])
    copy.rename(path)
    await worker.ended()
    await bench.restart()
    await section.waits_for_status("store", "ok", "")


async def no_leader(section: Section) -> None:
    """No worker runs."""
    await section.bench.environment.worker.stop()
    checks = await section.bench.checks()
    assert checks["leader"]["state"] == checks["worker"]["state"] == "failed"


async def absent(section: Section) -> None:
    """A setting is still wrong, and a queue has other arguments. A command waits."""
    bench = section.bench
    prefix = bench.environment.worker.settings["WORKER_NAME_PREFIX"]
    body = {"type": "stop_recording", "id": "waits", "recording_id": NOBODYS}
    async with await aio_pika.connect(bench.admin_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{prefix}.commands")
        await exchange.publish(aio_pika.Message(json.dumps(body).encode()), "stop_recording")

    await section.waits_for_status("queue", "failed", "1 command")
    await section.waits_for_status("queue", "failed", "0 consumers")
    await section.waits_for_status("worker", "failed", "none answers")
    well, wrong = (
        await section.run("config check"),
        await section.run("config check", environ={"WORKER_PREFETCH": "many"}),
    )
    same, differs = (
        await section.run("topology check"),
        await section.run("topology check", environ={"WORKER_RETRY_DELAYS_SECONDS": "3,4"}),
    )

    assert (well.code, wrong.code) == (0, 2)
    assert "WORKER_PREFETCH" in wrong.out + wrong.err
    assert (same.code, differs.code) == (0, 1)
    assert "missing" in {row["state"] for row in differs.lines}


SECTIONS: Final[dict[str, Callable[[Section], Awaitable[None]]]] = {
    "NoConsumer": no_consumer,
    "DeadLettersGrow": dead_letters,
    "RecordingStalled": stalled,
    "UnknownStatus": unknown_status,
    "NotFollowing": not_following,
    "OutboxAges": outbox_ages,
    "CommandsFail": commands_fail,
    "ApiOutage": api_outage,
    "BudgetExhausted": budget_exhausted,
    "EventsSetAside": events_set_aside,
    "ArchiveRefused": archive_refused,
    "ArchiveWaits": archive_waits,
    "ArchiveExpires": archive_expires,
    "FilesNotArchived": files_not_archived,
    "StoreTrouble": store_trouble,
    "NoLeader": no_leader,
    "Absent": absent,
}


@asynccontextmanager
async def full_queue(bench: Bench) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A queue that accepts no status event. The yielded function makes room."""
    prefix = bench.environment.worker.settings["WORKER_NAME_PREFIX"]
    async with await aio_pika.connect(bench.admin_url) as connection:
        channel = await connection.channel()
        arguments: dict[str, Any] = {"x-max-length": 0, "x-overflow": "reject-publish"}
        queue = await channel.declare_queue(f"{prefix}.full", arguments=arguments, durable=True)
        await queue.bind(f"{prefix}.status", "#")

        async def remove() -> None:
            await queue.delete(if_unused=False, if_empty=False)

        yield remove


async def send_for_another_cluster(bench: Bench) -> None:
    """A command whose reply address only another cluster knows."""
    prefix = bench.environment.worker.settings["WORKER_NAME_PREFIX"]
    async with await aio_pika.connect(bench.admin_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{prefix}.commands")
        body = {"type": "stop_recording", "id": "elsewhere", "recording_id": NOBODYS}
        message = aio_pika.Message(json.dumps(body).encode(), reply_to=LONG_GONE)
        await exchange.publish(message, "stop_recording")


def test_every_alert_has_a_runbook_that_is_tested() -> None:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]

    named = {f"RecordingWorker{name}" for name in SECTIONS}

    assert named == set(alerts)


@pytest.fixture
async def bench(rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    users = Users(rabbitmq, names_prefix)
    async with AsyncExitStack() as stack:
        operator_url = users.add("operator", DEPLOY)
        stack.callback(users.delete, "operator")
        rabbitmq.add_user(users.name("worker"), PASSWORD)
        stack.callback(users.delete, "worker")
        users.grant("worker", *documented(CHART_README, "verify"))
        admin = {"AMQP_URL": rabbitmq.amqp_url, "WORKER_NAME_PREFIX": names_prefix}
        await CommandLine(admin, tmp_path)(
            "topology", "declare", WORKER_RETRY_DELAYS_SECONDS=DELAYS
        )
        url = f"amqp://{users.name('worker')}:{PASSWORD}@127.0.0.1:{rabbitmq.port}/"
        (tmp_path / "amqp-url").write_text(url)
        (tmp_path / "archive").mkdir()
        environment = await stack.enter_async_context(
            open_worker_environment(
                *(rabbitmq.amqp_url, names_prefix, tmp_path),
                AMQP_URL="",
                AMQP_URL_FILE=str(tmp_path / "amqp-url"),
                WORKER_COMMAND_MAX_AGE_SECONDS="3",
                WORKER_TOPOLOGY="verify",
                WORKER_ARCHIVE_URL=f"file://{tmp_path / 'archive'}",
                WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES="on",
                WORKER_ARCHIVE_RETRY_MAX_SECONDS="1",
                WORKER_RETRY_DELAYS_SECONDS=DELAYS,
            )
        )
        opened = Bench(environment, operator_url, users)
        opened.admin_url = rabbitmq.amqp_url
        yield opened


async def prepare(bench: Bench) -> None:
    """Slow faults: a reply that no queue accepts, and files that the archive does not accept."""
    await send_for_another_cluster(bench)
    await bench.environment.start()
    await bench.environment.event(StatusChanged, status="RECORDING")
    bench.archive.rename(bench.archive_aside)
    bench.archive.touch()
    await bench.environment.send(type="stop_recording", id="stop-1", start_id="start-1")
    await bench.environment.start("long", meeting_id="5f0e2f5c-9b1d-4a53-8f3f-2f8f1e0c7b16")


async def test_each_command_of_a_runbook_shows_the_fault_that_it_describes(bench: Bench) -> None:
    for name, execute in SECTIONS.items():
        try:
            await execute(Section(f"RecordingWorker{name}", bench))
            if execute is no_consumer:
                await prepare(bench)
        except BaseException as error:
            error.add_note(f"in the section RecordingWorker{name}")
            raise


# The rights themselves


async def test_each_user_has_exactly_the_documented_rights(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    users = Users(rabbitmq, names_prefix)
    admin = {"AMQP_URL": rabbitmq.amqp_url, "WORKER_NAME_PREFIX": names_prefix}
    cli = CommandLine(admin, tmp_path)
    await cli("topology", "declare")
    async with await aio_pika.connect(rabbitmq.amqp_url) as connection:
        exchange = await (await connection.channel()).get_exchange(f"{names_prefix}.dead-letter")
        await exchange.publish(aio_pika.Message(b"not json"), "start_recording")
    stop = ("send", "stop_recording", "--recording-id", NOBODYS)
    commands = {
        "send": stop,
        "wait": (*stop, "--wait", "--timeout", "0.1"),
        "tail": ("tail", "--for", "0.1"),
        "dead": ("dead", "list"),
        "declare": ("topology", "declare"),
    }
    may = {
        ("verify", CHART_README): {},
        ("declare", CHART_README): {"declare": 0, "send": 0},  # one name for exchange and queue
        ("publisher", DEPLOY): {"send": 0},
        ("subscriber", DEPLOY): {"send": 0},
        ("operator", DEPLOY): {"send": 0, "wait": 6, "tail": 0, "dead": 0},
    }
    for (user, page), allowed in may.items():
        url = users.add(user, page)
        ended = {name: await cli(*arguments, AMQP_URL=url) for name, arguments in commands.items()}
        users.delete(user)
        assert {name: result.code for name, result in ended.items()} == dict.fromkeys(
            commands, 1
        ) | allowed, user
        refused = [result.err for name, result in ended.items() if name not in allowed]
        assert all("ACCESS_REFUSED" in text for text in refused), refused


async def test_a_subscriber_reads_events_only_in_queues_with_its_own_name(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    users = Users(rabbitmq, names_prefix)
    admin = {"AMQP_URL": rabbitmq.amqp_url, "WORKER_NAME_PREFIX": names_prefix}
    await CommandLine(admin, tmp_path)("topology", "declare")
    url = users.add("subscriber", DEPLOY)

    async def listens(queue_name: str) -> bool:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(queue_name, exclusive=True)
                for exchange in ("status", "files", "results"):
                    await queue.bind(f"{names_prefix}.{exchange}", "#")
                await queue.get(fail=False)
            except aio_pika.exceptions.ChannelClosed:
                return False
            return True

    own, foreign = await listens("my-service.events"), await listens(f"{names_prefix}.mine")
    users.delete("subscriber")
    assert (own, foreign) == (True, False)
