"""Chooses the tests with which each of several processes begins.

A process gets a contiguous part of the tests, and takes over tests of others when it is idle. Some
begin with tests that wait, and others with tests that compute, so that there is always work for the
processors.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent
BROKEN_BROKER = "reused_rabbitmq"
"""The fixture of tests that stop or kill their broker."""

SECONDS_PER_TEST = {"fault": 1.0, "e2e": 0.8}
"""A rough duration for folders of tests that mostly wait. Other tests take 10 to 100 ms of CPU."""
SECONDS_PER_FILE = {
    "contract/store/test_budget.py": 6.0,
    "contract/store/test_dead_replicas.py": 8.0,
    "e2e/test_bad_input.py": 1.0,
    "e2e/test_broker_access.py": 9.0,
    "e2e/test_broker_dead_letters.py": 21.0,
    "e2e/test_demo.py": 31.0,
    "e2e/test_late_files.py": 18.0,
    "e2e/test_one_id_two_bodies.py": 10.0,
    "e2e/test_probes.py": 49.0,
    "e2e/test_readme.py": 1.0,
    "e2e/test_replays.py": 26.0,
    "e2e/test_runbooks.py": 35.0,
    "e2e/test_shutdown.py": 7.0,
    "e2e/test_waiting_for_people.py": 6.0,
    "e2e/test_webhooks.py": 39.0,
    "e2e/test_whom_to_record.py": 32.0,
    "e2e/test_write_probes.py": 12.0,
    "fault/test_api_storms.py": 72.0,
    "fault/test_archive.py": 44.0,
    "fault/test_broker_faults.py": 30.0,
    "fault/test_budget_fleet.py": 22.0,
    "fault/test_chaos.py": 39.0,
    "fault/test_clocks.py": 2.0,
    "fault/test_cluster.py": 30.0,
    "fault/test_cut_off_clients.py": 31.0,
    "fault/test_database.py": 21.0,
    "fault/test_dead_replicas.py": 44.0,
    "fault/test_frozen_workers.py": 25.0,
    "fault/test_fuzz.py": 10.0,
    "fault/test_kill_points.py": 216.0,
    "fault/test_lost_answers.py": 30.0,
    "fault/test_max_seconds.py": 17.0,
    "fault/test_retry_after.py": 15.0,
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
    "integration/archive/test_fair_turns.py": 8.0,
    "integration/archive/test_frozen_owner.py": 13.0,
    "integration/broker/test_alarm.py": 6.0,
    "integration/broker/test_outages.py": 20.0,
    "integration/services/test_broker_resets.py": 16.0,
    "integration/cli/test_broker.py": 15.0,
    "integration/cli/test_status.py": 6.0,
    "integration/cli/test_worker.py": 8.0,
    "integration/console/test_server.py": 6.0,
    "integration/tracking/test_disputed_ends.py": 30.0,
    "integration/tracking/test_late_files.py": 21.0,
    "integration/services/test_launchers.py": 16.0,
    "integration/tracking/test_list_outage.py": 51.0,
    "integration/commands/test_lost_start_answers.py": 7.0,
    "integration/commands/test_one_id_two_bodies.py": 7.0,
    "integration/broker/test_publisher.py": 5.0,
    "integration/publishing/test_relay.py": 45.0,
    "integration/publishing/test_silent_losses.py": 18.0,
    "integration/observability/test_trace_propagation.py": 5.0,
    "integration/tracking/test_webhook_endpoint.py": 10.0,
    "oracle/test_histories.py": 6.0,
}
"""Files of tests that mostly wait, unless the figure of their folder says enough."""
MAX_COMPUTING_PROCESSES = 2
"""How many processes begin with tests that compute: one for each processor of a small machine."""
LONG_FILES = {
    "e2e/test_console_pages.py",
    "image/test_image.py",
    "packages/test_distributions.py",
    "packages/test_pytest_plugin.py",
}
"""Files that compute for long, so that their process begins with them. At the end of the run, idle
processes would share the tests of a file among them, and each would build the packages anew."""


class _Kinds(NamedTuple):
    """The tests by kind: groups that wait, long ones that compute, others that do, unit tests."""

    waiting: list[list[pytest.Item]]
    long: list[pytest.Item]
    computing: list[pytest.Item]
    unit: list[pytest.Item]


def in_shares(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The items in the order of the processes' shares, which are of equal size.

    Most processes begin with tests that wait. The others begin with tests that compute, so that no
    processor is idle while all the former wait. The preparation for the first test of a kind costs
    seconds: a database server, compiled statements. So a process takes such tests only when it has
    no more tests that wait.
    """
    kinds = _by_kind(items)
    sizes = _sizes(len(items), processes)
    computing_processes = MAX_COMPUTING_PROCESSES if processes > MAX_COMPUTING_PROCESSES else 1
    waiting_shares: list[list[pytest.Item]] = [[] for _ in range(processes - computing_processes)]
    seconds = [0.0] * len(waiting_shares)
    for group in sorted(kinds.waiting, key=_seconds, reverse=True):  # stable on ties
        shortest = seconds.index(min(seconds))
        waiting_shares[shortest] += group
        seconds[shortest] += _seconds(group)
    computing_shares: list[list[pytest.Item]] = [[] for _ in range(computing_processes)]
    computing_shares[0] = kinds.long
    computing = _fill(computing_shares, sizes[len(waiting_shares) :], kinds.computing)
    rest = _fill(waiting_shares, sizes[: len(waiting_shares)], kinds.unit + computing)
    return [item for share in (*waiting_shares, *computing_shares, rest) for item in share]


def _sizes(items: int, processes: int) -> list[int]:
    """The sizes of the parts that `--dist worksteal` gives to the processes, to the item.

    The first item of a part that is one off would be the last of another process.
    """
    sizes = []
    for others in reversed(range(processes)):
        sizes.append(items // (others + 1))
        items -= sizes[-1]
    return sizes


def _fill(
    shares: list[list[pytest.Item]], sizes: list[int], items: list[pytest.Item]
) -> list[pytest.Item]:
    """Append items to the shares up to their sizes. Returns those that are left."""
    for share, size in zip(shares, sizes, strict=True):
        free = max(0, size - len(share))
        share += items[:free]
        items = items[free:]
    return items


def _by_kind(items: list[pytest.Item]) -> _Kinds:
    """Sort the tests by kind.

    The files that take a private broker are one group, because each process boots its own.
    """
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
