"""`python -m tests.fault.chaos`: a whole campaign. docs/explanation/fault-tests.md explains it."""

import argparse
import asyncio
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop

from recording_sandbox.services.postgresql_launch import launch_postgresql
from recording_sandbox.services.processes import OwnedDirectory
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from tests.fault.campaign import Campaign, CampaignOptions
from tests.fault.fault_environment import open_fault_environment
from tests.fault.reliability_report import report_lines

KEPT = Path("var/chaos")


def main() -> int:
    """Returns 0 if no violation was found, else 1. The files of a failed campaign are kept."""
    options = _options()
    print(f"seed {options.seed}: {options.commands} commands, {options.kills} kills", flush=True)
    directory = OwnedDirectory("chaos-")
    try:
        return uvloop.run(_run(options, directory.path))
    finally:
        directory.remove()


def _options() -> CampaignOptions:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--commands", type=int, default=3000)
    parser.add_argument(
        "--replicas",
        type=int,
        choices=(1, 2, 3),
        default=1,
        help="1 works on SQLite, more on PostgreSQL",
    )
    arguments = parser.parse_args()
    return CampaignOptions(**vars(arguments))


async def _run(options: CampaignOptions, directory: Path) -> int:
    with ExitStack() as services:
        broker = services.enter_context(await asyncio.to_thread(launch_rabbitmq, private=True))
        database = f"sqlite:///{directory / 'state.db'}"
        if options.replicas > 1:
            server = await asyncio.to_thread(launch_postgresql, durable=True, private=True)
            database = services.enter_context(server).new_database()
        async with open_fault_environment(
            broker.amqp_url, database, directory, prefix="chaos", seed=options.seed, forks=None
        ) as environment:
            campaign = Campaign(environment, options, lambda line: print(line, flush=True))
            found = None
            try:
                found, run = await campaign.run()
            finally:
                if found is None or found.violations:
                    _keep(directory, options.seed, msgspec.json.encode(environment.facts))
    print(report_lines(found, run), flush=True)
    return 1 if found.violations else 0


def _keep(directory: Path, seed: int, facts: bytes) -> None:
    """Save the workers' logs, their database and the facts in one folder."""
    kept = KEPT / str(seed)
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "facts.json").write_bytes(facts)
    for file in directory.iterdir():
        if file.is_file():
            (kept / file.name).write_bytes(file.read_bytes())
    print(f"kept for a look: {kept}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
