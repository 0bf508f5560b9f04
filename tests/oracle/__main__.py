"""`python -m tests.oracle --seed N --histories M`: random histories, judged by the checker."""

import argparse
import asyncio
import json
import secrets
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.processes import OwnedDirectory
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from tests.forked_process import FORK_SERVER
from tests.oracle.checker import violations
from tests.oracle.evidence import Evidence
from tests.oracle.history import Script, draw_script, run_history
from tests.oracle.records import write_records
from tests.oracle.replicas import Place, free_prefix

KEPT: Final = Path("var/oracle")


def main() -> int:
    """Run the histories. Returns 0 if no violation was found, else 1; their files are kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--histories", type=int, default=10)
    options = parser.parse_args()
    failed = 0
    with ExitStack() as services:
        broker = services.enter_context(launch_rabbitmq(private=True))
        database = services.enter_context(launch_postgresql(private=True))
        if FORK_SERVER is not None:
            services.callback(FORK_SERVER.close)
        for seed in range(options.seed, options.seed + options.histories):
            failed += _judge(draw_script(seed), broker.amqp_url, database)
    print(f"{options.histories} histories, {failed} with violations", flush=True)
    return 1 if failed else 0


def _judge(script: Script, amqp_url: str, server: PostgreSQLServer) -> bool:
    """Run a history and print what is wrong. Returns whether anything is."""
    directory = OwnedDirectory("oracle-")
    database = f"sqlite:///{directory.path / 'state.db'}"
    if script.replicas > 1:
        database = server.new_database()
    place = Place(amqp_url, database, directory.path, free_prefix())
    began = time.monotonic()
    try:
        evidence = asyncio.run(run_history(script, place))
        found = violations(evidence)
        print(_line(script, evidence, time.monotonic() - began), flush=True)
        for problem in found:
            print(f"  {problem}", flush=True)
        if found:
            kept = KEPT / str(script.seed)
            write_records(kept, evidence, json.dumps(asdict(script), indent=1), directory.path)
            print(f"  kept for a look: {kept}", flush=True)
        return bool(found)
    finally:
        directory.remove()
        if script.replicas > 1:
            server.drop_database(database)


def _line(script: Script, evidence: Evidence, seconds: float) -> str:
    counts = {
        "commands": len(evidence.commands()),
        "messages": len(evidence.sent),
        "recordings": len(evidence.truth.of_worker()),
        "events": len(evidence.received),
        "requests": len(evidence.truth.requests),
        "absences": len(evidence.absences),
        "replicas": script.replicas,
    }
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    return f"seed {script.seed}: {text}, {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
