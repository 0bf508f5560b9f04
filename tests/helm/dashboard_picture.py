"""Draws docs/images/dashboard*.png in four minutes: `python -m tests.helm.dashboard_picture`.

A real worker uses the emulated API with a small request budget. It gets webhooks, some of them
twice and some forged. Its files are archived into a folder, and some downloads break off. The API
is unavailable for half a minute. The budget is too small to catch up
at once, so some commands and most reads have to wait. A real Prometheus scrapes the worker and
answers the queries of the dashboard.
"""

import asyncio
import math
import random
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from recording_sandbox.model.faults import Fault
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.rabbitmq_launch import launch_rabbitmq
from recording_sandbox.waiting import eventually
from tests.e2e.worker_environment import WorkerEnvironment, open_worker_environment
from tests.helm.alert_rules import RULES
from tests.helm.dashboard_drawing import Series, draw
from tests.helm.dashboard_source import dashboard

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
PICTURES: Final = {
    "dashboard": ("Is it healthy?",),
    "dashboard-commands": ("Commands", "Recordings and tracking"),
    "dashboard-more": ("Recording API and budget", "Publishing", "Archive", "Process"),
}
RUN_SECONDS: Final = 180
OUTAGE: Final = (90, 120)
BUDGET: Final = "1300/300"
CHOSEN: Final = {
    **dict.fromkeys(("$namespace", "$job", "$instance", "$app"), ".*"),
    "$__rate_interval": "10s",
}


def config(target: str) -> dict[str, Any]:
    """The configuration of Prometheus, with the labels that its operator would set."""
    labels = {"namespace": "meetings", "pod": "recording-worker-0"}
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "recording-worker",
                "static_configs": [{"targets": [target], "labels": labels}],
            }
        ],
    }


async def meetings(environment: WorkerEnvironment, began: float) -> None:
    """Send starts, stops and pauses, and sometimes a message that is no command."""
    chance = random.Random(7)
    number = 0
    while time.monotonic() - began < RUN_SECONDS:
        number += 1
        start = f"start-{number}"
        await environment.start(start, meeting_id=str(uuid.uuid4()))
        if number > 12:
            kind = chance.choice(["stop_recording", "stop_recording", "pause_recording"])
            await environment.send(
                type=kind, id=f"{kind}-{number}", start_id=f"start-{number - 12}"
            )
        if number % 40 == 0:
            await environment.messages.send_raw(b"{", routing_key="x")
        await asyncio.sleep(chance.uniform(0.2, 0.8))


def spoil_webhooks(environment: WorkerEnvironment) -> None:
    """Make the API send some webhooks twice, and some with a forged signature."""
    environment.sandbox.faults.add(Fault(kind="webhook_duplicate", probability=0.1))
    environment.sandbox.faults.add(Fault(kind="webhook_forge", probability=0.05))


def spoil_downloads(environment: WorkerEnvironment) -> None:
    """Make files large, and let some downloads break off."""
    environment.sandbox.behaviour.file_bytes = 3_000_000
    environment.sandbox.faults.add(Fault(kind="download_refuse", status=503, probability=0.1))


async def outage(environment: WorkerEnvironment) -> None:
    """The API answers with 503 for half a minute."""
    await asyncio.sleep(OUTAGE[0])
    fault = environment.sandbox.faults.add(Fault(kind="refuse", operation="*", status=503))
    await asyncio.sleep(OUTAGE[1] - OUTAGE[0])
    environment.sandbox.faults.clear(fault)


async def query_range(http: aiohttp.ClientSession, url: str, query: str, began: float) -> list[Any]:
    """The series that Prometheus returns for the query of a panel."""
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    span: dict[str, str | float] = {"query": query, "start": began, "end": time.time(), "step": 1}
    async with http.get(f"{url}/api/v1/query_range", params=span) as answer:
        response = await answer.json()
    if response["status"] != "success":
        raise RuntimeError(f"{query}: {response}")
    return list(response["data"]["result"])


def series_name(legend: str, labels: dict[str, str]) -> str:
    """The name of a series, as Grafana writes it."""
    for label, value in labels.items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


def rows() -> list[dict[str, Any]]:
    """The rows with their panels, as if all were open."""
    found: list[dict[str, Any]] = []
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            found.append(panel)
        else:
            found[-1]["panels"].append(panel)
    return found


async def results(url: str, began: float) -> dict[int, list[Series]]:
    """The series of every panel."""
    async with aiohttp.ClientSession() as http:
        return {
            panel["id"]: [
                series
                for target in panel["targets"]
                for series in await target_series(http, url, target, began)
            ]
            for row in rows()
            for panel in row["panels"]
        }


async def target_series(
    http: aiohttp.ClientSession, url: str, target: dict[str, Any], began: float
) -> list[Series]:
    """The series of one query of a panel."""
    found = []
    for series in await query_range(http, url, target["expr"], began):
        points = [(at - began, float(value)) for at, value in series["values"]]
        known = [(at, value) for at, value in points if not math.isnan(value)]
        found.append(Series(series_name(target["legendFormat"], series["metric"]), known))
    return found


def draw_pictures(series: dict[int, list[Series]]) -> None:
    """Draw the pictures of the documents."""
    titled = {row["title"]: row for row in rows()}
    for name, titles in PICTURES.items():
        draw([titled[title] for title in titles], series, IMAGES / f"{name}.png")


async def run_and_draw(directory: Path, amqp_url: str) -> None:
    """Run the worker, the API and Prometheus, then draw."""
    port, own = free_ports(2)
    (directory / "archive").mkdir()
    more: dict[str, Any] = {
        "HTTP_PORT": str(own),
        "WORKER_PUBLIC_URL": f"http://127.0.0.1:{own}",
        "WORKER_API_BUDGET": BUDGET,
        "WORKER_ARCHIVE_URL": f"{directory.as_uri()}/archive",
        "WORKER_ARCHIVE_ALLOW_PRIVATE_SOURCES": "on",
    }
    async with open_worker_environment(
        amqp_url, f"picture-{uuid.uuid4().hex[:6]}", directory, speed=1.0, **more
    ) as environment:
        spoil_webhooks(environment)
        spoil_downloads(environment)
        (directory / "prometheus.yml").write_text(
            yaml.safe_dump(config(environment.worker.url.removeprefix("http://")))
        )
        prometheus = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={directory}/prometheus.yml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            await eventually(lambda: is_ready(url), seconds=30)
            began, now = time.monotonic(), time.time()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(meetings(environment, began))
                tasks.create_task(outage(environment))
            draw_pictures(await results(url, now))
        finally:
            prometheus.terminate()
            await prometheus.wait()


async def is_ready(url: str) -> bool:
    """Whether Prometheus is ready."""
    with suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as http, http.get(f"{url}/-/ready") as answer:
            return answer.status == 200
    return False


def main() -> None:
    """Draw the picture."""
    with launch_rabbitmq() as node, tempfile.TemporaryDirectory() as directory:
        asyncio.run(run_and_draw(Path(directory), node.amqp_url))


if __name__ == "__main__":
    main()
