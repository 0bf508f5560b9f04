"""The checks of `status`, from the answers of worker, database and broker. Pure."""

from typing import Any

import msgspec
import pytest

from recording_schemas import Status
from worker.broker.admin.queue_counts import QueueCount, QueueCounts
from worker.cli.status.checks import Check, judge
from worker.cli.status.format import status_json, status_lines
from worker.cli.status.sources import Facts, local_url
from worker.observability.probe_client import CheckAnswer, Readiness
from worker.settings.settings import CommonSettings
from worker.store.admin.overview import (
    BudgetUsage,
    BudgetWindow,
    Leader,
    OpenCount,
    Overview,
    SweepInfo,
)
from worker.store.archive_reading import ArchiveDepth
from worker.store.due_commands import ParkedCount
from worker.store.queries import Staleness
from worker.store.unsent_events import OutboxDepth

NOW = 2_000_000_000.0
AWAY = "connection refused"
READY = Readiness(ok=True, checks={"consuming": CheckAnswer(ok=True), "api": CheckAnswer(ok=True)})
SWEPT = SweepInfo(app="default", swept_at=NOW - 4, webhook_at=None, missed_webhook_at=None)
OVERVIEW = Overview(
    at=NOW,
    leader=Leader(owner="me", until=NOW + 12),
    replicas=1,
    recordings=(OpenCount(app="default", status=Status.RECORDING, live=True, count=2),),
    staleness=Staleness(unchanged_since={}, due_since=None),
    outbox=OutboxDepth(events=0, oldest_at=None),
    parked={},
    budgets=(),
    sweeps=(SWEPT,),
    archive=ArchiveDepth(queued=0, oldest_at=None, first_expiry=None, refused=0, failed=0),
)


def queues(
    commands: int | None = 0, consumers: int | None = 1, dead: int | None = 0
) -> QueueCounts:
    return QueueCounts(
        commands=QueueCount(name="recording.commands", messages=commands, consumers=consumers),
        dead=QueueCount(name="recording.commands.dead", messages=dead, consumers=0),
        unanswered=QueueCount(name="recording.commands.unanswered", messages=0, consumers=1),
        retries=(QueueCount(name="recording.commands.retry.5s", messages=3, consumers=0),),
    )


def facts(**changes: Any) -> Facts:
    """The facts of healthy workers, except for `changes`."""
    healthy = {"readiness": READY, "overview": OVERVIEW, "queues": queues()}
    return Facts(worker_url="http://127.0.0.1:8080", **{**healthy, **changes})


def overview(**changes: Any) -> Overview:
    return msgspec.structs.replace(OVERVIEW, **changes)


def check(name: str, of: Facts) -> Check:
    return next(check for check in judge(of).checks if check.name == name)


def screen(of: Facts) -> str:
    return "\n".join(status_lines(of, judge(of)))


# The health


def test_workers_are_healthy_if_no_check_fails() -> None:
    health = judge(facts())
    assert health.is_healthy is True
    assert {each.state for each in health.checks} == {"ok"}
    assert screen(facts()).startswith("\x1b[1mHealthy\x1b[0m\n")


@pytest.mark.parametrize(
    ("healthy", "answered"),
    [
        (True, {"queues": AWAY}),
        (True, {"overview": AWAY}),
        (True, {"overview": AWAY, "queues": AWAY}),
        (True, {"readiness": AWAY}),
        (False, {"readiness": AWAY, "queues": AWAY}),
        (None, {"readiness": AWAY, "overview": AWAY}),
        (None, {"readiness": AWAY, "overview": AWAY, "queues": AWAY}),
        (False, {"readiness": AWAY, "overview": overview(leader=None)}),
    ],
)
def test_the_verdict_follows_from_the_sources_that_answer(
    healthy: bool | None, answered: Any
) -> None:
    assert judge(facts(**answered)).is_healthy is healthy


@pytest.mark.parametrize("name", ["readiness", "overview", "queues"])
def test_a_source_that_does_not_answer_is_on_the_screen_with_the_reason(name: str) -> None:
    shown = " ".join(screen(facts(**{name: f"{AWAY} of {name}"})).split())
    assert f"{AWAY} of {name}" in shown


def test_the_reasons_of_the_worker_are_shown_without_control_characters() -> None:
    broken = Readiness(
        ok=False, checks={"store": CheckAnswer(ok=False, reason="disk\x1b[31m full")}
    )

    shown = screen(facts(readiness=broken))

    assert "Not healthy: store" in shown
    assert "disk\\x1b[31m full" in shown


def test_an_app_that_cannot_be_used_beside_one_that_can_is_a_warning() -> None:
    apps = {"api/eu": CheckAnswer(ok=False, reason="unauthorized"), "api/us": CheckAnswer(ok=True)}

    health = judge(facts(readiness=Readiness(ok=True, checks=apps)))

    assert health.is_healthy is True
    assert [each.state for each in health.checks[:3]] == ["ok", "warning", "ok"]


def test_only_a_worker_knows_whether_its_circuit_to_the_api_is_open() -> None:
    api_check = check("api", facts())
    not_asked = check("api", facts(readiness=AWAY))
    open_circuit = CheckAnswer(ok=False, reason="timeout; the circuit has been open for 9 s")
    failed = check("api", facts(readiness=Readiness(ok=False, checks={"api": open_circuit})))

    assert (api_check.state, api_check.text) == ("ok", "the circuit is closed: requests are sent")
    assert (not_asked.state, "only a running worker knows" in not_asked.text) == ("unknown", True)
    assert (failed.state, failed.text) == ("failed", open_circuit.reason)


# The state


@pytest.mark.parametrize(
    ("state", "outbox"),
    [
        ("ok", OutboxDepth(events=5, oldest_at=NOW - 60)),
        ("failed", OutboxDepth(events=5, oldest_at=NOW - 61)),
        ("warning", OutboxDepth(events=5, oldest_at=NOW - 6, deferred=1)),
        ("warning", OutboxDepth(events=0, oldest_at=None, set_aside=1)),
    ],
)
def test_events_that_are_late_or_refused_are_noticed(state: str, outbox: OutboxDepth) -> None:
    assert check("outbox", facts(overview=overview(outbox=outbox))).state == state


@pytest.mark.parametrize(
    ("status", "age", "is_stalled"),
    [
        (Status.INVOKED, 601, True),
        (Status.INVOKED, 599, False),
        (Status.RECORDING, 90_000, False),
        (Status.UPLOADING, 9_100, True),
    ],
)
def test_a_recording_that_should_have_moved_on_names_the_command_that_finds_it(
    status: Status, age: float, is_stalled: bool
) -> None:
    staleness = Staleness(unchanged_since={status: NOW - age}, due_since=None)

    found = [each for each in judge(facts(overview=overview(staleness=staleness))).checks
             if each.name == "stalled"]  # fmt: skip

    expected = f"recording-worker recordings --sort unchanged --status {status}"
    assert [each.see for each in found] == ([expected] if is_stalled else [])


def test_a_budget_that_is_paused_or_used_up_is_a_warning() -> None:
    left = BudgetWindow(requests=10, seconds=5.0, spent=4, background=0, left=6)
    none = msgspec.structs.replace(left, requests=9, spent=9, left=0)

    def state(windows: tuple[BudgetWindow, ...], paused: float = 0, stops: float = 0) -> str:
        usage = BudgetUsage(
            account="a", paused_until=paused, stops_paused_until=stops, windows=windows
        )
        found = check("budget", facts(overview=overview(budgets=(usage,))))
        return f"{found.state}: {found.text}"

    assert state((left,)) == "ok: 6 of 10 requests left in 5 s"
    assert state((left, none)).startswith("warning")
    assert state((left,), paused=NOW + 70).startswith("warning: stops alone for 1m")
    assert state((left,), NOW + 70, NOW + 9).startswith("warning: no requests for 1m")


@pytest.mark.parametrize(
    ("webhook_at", "missed_at", "state", "words"),
    [
        (None, None, "ok", "sweeps find the changes"),
        (None, NOW - 3, "ok", "sweeps find the changes"),
        (NOW - 9, None, "ok", "came 9s ago; no change was missed since"),
        (NOW - 9, NOW - 100, "ok", "came 9s ago; no change was missed since"),
        (NOW - 7200, NOW - 60, "warning", "came 2h ago; a change was missed 1m ago"),
    ],
)
def test_webhooks_are_a_warning_after_they_worked_and_then_missed_a_change(
    webhook_at: float | None, missed_at: float | None, state: str, words: str
) -> None:
    sweep = msgspec.structs.replace(SWEPT, webhook_at=webhook_at, missed_webhook_at=missed_at)

    found = check("webhooks", facts(overview=overview(sweeps=(sweep,))))

    assert (found.state, found.text.endswith(words)) == (state, True)


def test_checks_of_several_apps_carry_their_names() -> None:
    us = msgspec.structs.replace(SWEPT, app="us", swept_at=NOW - 1000)
    found = judge(facts(overview=overview(sweeps=(SWEPT, us)))).checks
    states = {each.name: each.state for each in found if each.name.startswith("sweep")}
    assert states == {"sweep default": "ok", "sweep us": "warning"}


def test_commands_that_wait_for_something_are_counted_with_their_age() -> None:
    parked = {"session": ParkedCount(commands=3, oldest_at=NOW - 720),
              "start": ParkedCount(commands=1, oldest_at=None)}  # fmt: skip
    found = check("waiting", facts(overview=overview(parked=parked)))
    assert found.text == "1 command for a start; 3 commands for a session, the oldest for 12m"


@pytest.mark.parametrize(
    ("state", "words", "changes"),
    [
        ("ok", "0 files to copy", {}),
        ("ok", "the first URL expires in 6d", {"queued": 2, "expiry": 550_000}),
        ("warning", "the oldest for 2h", {"queued": 2, "age": 7_300, "expiry": 550_000}),
        ("warning", "1 given up", {"failed": 1}),
        ("failed", "3 refused by the storage", {"queued": 3, "refused": 3, "expiry": 550_000}),
        ("failed", "the first URL expires in 23h", {"queued": 1, "expiry": 86_000}),
    ],
)
def test_files_that_may_be_lost_are_noticed(
    state: str, words: str, changes: dict[str, Any]
) -> None:
    queued = changes.get("queued", 0)
    archive = ArchiveDepth(
        queued=queued,
        oldest_at=NOW - changes.get("age", 5) if queued else None,
        first_expiry=NOW + changes["expiry"] if queued else None,
        refused=changes.get("refused", 0),
        failed=changes.get("failed", 0),
    )

    found = check("archive", facts(overview=overview(archive=archive)))

    assert (found.state, found.see is None) == (state, state == "ok")
    assert words in found.text


def test_ended_recordings_are_counted_by_what_they_wait_for() -> None:
    counts = tuple(
        OpenCount(app="default", status=status, live=False, count=number)
        for status, number in ((Status.UPLOADED, 3), (Status.ERRORED, 1))
    )
    found = check("recordings", facts(overview=overview(recordings=counts)))
    assert found.text == "none is live; files of 3 awaited; participants of 1 awaited"


# The broker


@pytest.mark.parametrize(
    ("counts", "name", "state", "words"),
    [
        (queues(7), "queue", "ok", "7 commands, 3 to try again later, 1 consumer"),
        (queues(0, consumers=0), "queue", "failed", "0 consumers"),
        (queues(None, None), "queue", "failed", "the queue recording.commands does not exist"),
        (queues(dead=2), "dead letters", "warning", "2"),
    ],
)
def test_queues_show_their_messages_and_consumers(
    counts: QueueCounts, name: str, state: str, words: str
) -> None:
    found = check(name, facts(queues=counts))
    assert (found.state, found.text.endswith(words)) == (state, True)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"replicas": 1}, "warning"),
        ({"replicas": 2}, "ok"),
        ({"replicas": 3}, "ok"),  # one has just ended, and still counts
        ({"replicas": 0, "leader": None}, "ok"),  # the database is the fault, and has its own line
    ],
)
def test_more_consumers_than_replicas_of_the_database_are_a_warning(
    changes: Any, state: str
) -> None:
    found = check("queue", facts(queues=queues(0, consumers=2), overview=overview(**changes)))
    assert (found.state, "another database" in found.text) == (state, state == "warning")
    assert ("may still be counted for a minute; if this stays" in found.text) is (
        state == "warning"
    ), "one look does not prove it"


# For people and scripts


def test_no_line_is_wider_than_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    reason = "the database cannot be read: " + "word " * 40
    for answers in (facts(), facts(overview=reason, readiness=reason, queues=reason)):
        plain = [line for line in screen(answers).splitlines() if "\x1b" not in line]
        assert max(map(len, plain)) <= 80


def test_the_json_has_everything_with_times_as_in_events() -> None:
    shown = status_json(facts(overview=overview(outbox=OutboxDepth(events=1, oldest_at=NOW))),
                        judge(facts()))  # fmt: skip
    assert (shown["healthy"], shown["checks_from"]) == (True, "worker")
    assert shown["leader"] == {"owner": "me", "until": "2033-05-18T03:33:32+00:00"}
    assert shown["outbox"]["oldest_at"] == shown["at"] == "2033-05-18T03:33:20+00:00"
    assert shown["queues"]["commands"]["messages"] == 0
    nothing = facts(readiness=AWAY, overview=AWAY, queues=AWAY)
    assert status_json(nothing, judge(nothing)).keys() == shown.keys()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::", "http://127.0.0.1:9000"),
        ("0.0.0.0", "http://127.0.0.1:9000"),  # noqa: S104 - nothing is bound
        ("10.0.0.7", "http://10.0.0.7:9000"),
        ("::1", "http://[::1]:9000"),
    ],
)
def test_the_worker_of_this_machine_is_found_by_its_settings(host: str, url: str) -> None:
    settings = CommonSettings.from_env({"HTTP_HOST": host, "HTTP_PORT": "9000"})
    assert local_url(settings) == url
