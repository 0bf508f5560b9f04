"""The environment variables of a contestant's process."""

import os
import time
from collections.abc import Mapping
from typing import Final

from benchmarks.bench_environment import PREFIX, RESULTS, TOPOLOGY, BenchEnvironment
from benchmarks.contestant_list import IN_FLIGHT, ROOT, Contestant
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import LaunchError

_HUGE_BUDGET: Final = "1000000/1"
_OURS: Final = ("AMQP_", "DATABASE_", "HTTP_", "LOG_", "REALTIMEKIT_", "WORKER_", "BENCH_")


def new_database(environment: BenchEnvironment, engine: str) -> str:
    """The URL of an empty database."""
    if engine == "sqlite":
        return f"sqlite:///{environment.directory / f'{time.monotonic_ns()}.db'}"
    if environment.postgresql is None:
        raise LaunchError("this environment was prepared without PostgreSQL")
    return environment.postgresql.new_database()


def process_environ(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without the worker's settings, and with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**inherited, "PYTHONPATH": str(ROOT), **settings}


def settings_of(
    contestant: Contestant,
    environment: BenchEnvironment,
    api_url: str,
    *,
    database: str | None = None,
) -> dict[str, str]:
    """Its environment variables, with a new, empty database unless one is given."""
    settings = _worker_settings(environment, api_url)
    if not contestant.is_ours:
        settings = _bench_settings(contestant, environment, api_url)
    if contestant.database:
        name = "DATABASE_URL" if contestant.is_ours else "BENCH_DATABASE_URL"
        settings[name] = database or new_database(environment, contestant.database)
    return settings


def _bench_settings(
    contestant: Contestant, environment: BenchEnvironment, api_url: str
) -> dict[str, str]:
    return {
        "BENCH_AMQP_URL": environment.node.amqp_url,
        "BENCH_API_URL": api_url,
        "BENCH_EXCHANGE": RESULTS,
        "BENCH_IN_FLIGHT": str(contestant.in_flight),
        "BENCH_QUEUE": TOPOLOGY.command_queue,
        "dramatiq_queue_prefetch": str(IN_FLIGHT),
    }


def _worker_settings(environment: BenchEnvironment, api_url: str) -> dict[str, str]:
    (port,) = free_ports(1)
    return {
        "AMQP_URL": environment.node.amqp_url,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "REALTIMEKIT_API_TOKEN": "secret",
        "REALTIMEKIT_APP_ID": "app",
        "REALTIMEKIT_BASE_URL": api_url,
        "WORKER_API_BUDGET": _HUGE_BUDGET,
        "WORKER_INVOKED_TIMEOUT_SECONDS": "3600",  # the stub's recordings stay INVOKED
        "WORKER_NAME_PREFIX": PREFIX,
    }
