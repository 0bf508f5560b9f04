"""The rendered pods work when they run: read-only, without root, with secrets in files."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import certifi
import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.postgresql import PostgreSQLServer
from recording_sandbox.waiting import Eventually
from tests.e2e.stuck_relay_worker import STUCK_RELAY_MODULE
from tests.helm.bubblewrap_pod import Container, Pod
from tests.helm.chart import (
    MINIMAL,
    MINIMAL_SQLITE,
    Manifest,
    Values,
    container,
    manifests,
    merged,
    only,
    pod,
)
from tests.helm.test_notes import in_the_pod
from tests.integration.observability.trace_collector import TraceCollector

pytestmark = pytest.mark.usefixtures("bubblewrap")
MEETING: Final = "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01"
START: Final = ("recording-worker", "send", "start_track_recording", "--meeting-id", MEETING)


@pytest.fixture
async def api() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxOptions(speed=5.0, seed=1)) as sandbox:
        yield sandbox


@pytest.fixture
def quick(api: Sandbox, names_prefix: str) -> Values:
    """Values for a worker that uses the emulated API and sweeps often."""
    (port,) = free_ports(1)
    return {
        "service": {"port": port},
        "shutdownDelaySeconds": 0,
        "settings": {
            "HTTP_HOST": "127.0.0.1",
            "REALTIMEKIT_BASE_URL": api.base_url,
            "WORKER_NAME_PREFIX": names_prefix,
            "WORKER_SWEEP_INTERVAL_SECONDS": 0.2,
        },
    }


async def answer(url: str) -> tuple[int, Any]:
    """Status and body; status 0 when nothing listens."""
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as response:
            return response.status, await response.json()
    except aiohttp.ClientConnectionError:
        return 0, None


async def wait_for_probe(worker: Container, probe: str, eventually: Eventually) -> None:
    """Wait until the worker passes a probe of its manifest."""

    async def passed_or_ended() -> bool:
        status, _ = await answer(worker.url(probe))
        return status == 200 or not worker.running

    await eventually(passed_or_ended, seconds=30, description=f"{probe}:\n{worker.output}")
    assert worker.running, worker.output


async def send_start(running: Pod, found: list[Manifest], *flags: str) -> None:
    """Send a start command from the pod's own image, and wait for its success."""
    sent = running.run(container(found), command=(*START, *flags, "--wait"))
    assert await sent.ended() == 0, sent.output


async def test_the_deployment_works_and_passes_its_probes(
    quick: Values,
    api: Sandbox,
    amqp_url: str,
    postgresql: PostgreSQLServer,
    tmp_path: Path,
    eventually: Eventually,
) -> None:
    url = postgresql.new_database()
    found = manifests(merged(MINIMAL, quick))
    api.tokens.revoke("former-token")
    secrets = {
        "broker": {"amqp-url": amqp_url},
        "postgres": {"database-url": url},
        "api": {"api-token": "former-token"},
    }
    with Pod(found, secrets, tmp_path) as running:
        worker = running.run(container(found))
        await wait_for_probe(worker, "startupProbe", eventually)
        sent = running.run(container(found), command=(*START, "--wait"))

        async def the_token_is_refused() -> bool:
            status, body = await answer(worker.url("readinessProbe"))
            return status == 503 and not body["checks"]["api"]["ok"]

        # With a revoked token the worker is not ready, but alive. A changed Secret is enough.
        await eventually(the_token_is_refused, seconds=30)
        assert (await answer(worker.url("livenessProbe")))[0] == 200
        running.change_secret("api", {"api-token": "fresh-token"})
        assert await sent.ended() == 0, sent.output
        await wait_for_probe(worker, "readinessProbe", eventually)

        environment = Path(f"/proc/{worker.pid}/environ").read_text()
        for secret in (amqp_url, url, "former-token", "fresh-token"):
            assert secret not in environment

        for check in only(found, "Pod")["spec"]["containers"]:
            done = running.run(check, spec=only(found, "Pod")["spec"])
            assert await done.ended() == 0, done.output

        worker.terminate()
        grace = pod(found)["spec"]["terminationGracePeriodSeconds"]
        assert await worker.ended(seconds=grace) == 0, worker.output
    postgresql.drop_database(url)


async def test_traces_are_exported_with_the_headers_of_a_secret(
    quick: Values, amqp_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    async with TraceCollector() as collector:
        traced = {
            "settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
            "tracing": {"existingSecret": "traces"},
        }
        found = manifests(merged(MINIMAL_SQLITE, quick, traced))
        secrets = {
            "broker": {"amqp-url": amqp_url},
            "api": {"api-token": "token"},
            "traces": {"otlp-headers": "authorization=Bearer%20of-the-collector\n"},
        }
        with Pod(found, secrets, tmp_path) as running:
            worker = running.run(container(found))
            await wait_for_probe(worker, "readinessProbe", eventually)
            await send_start(running, found)
            worker.terminate()
            assert await worker.ended() == 0, worker.output
            assert "of-the-collector" not in worker.output
        assert {headers["Authorization"] for headers in collector.headers} == {
            "Bearer of-the-collector"
        }


async def test_the_check_passes_with_files_of_another_volume_as_any_user(
    quick: Values, amqp_url: str, tmp_path: Path
) -> None:
    authorities = Path(certifi.where()).read_text()
    about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authorities"}}
    values = {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "realtimekit": {"existingSecret": "", "tokenFile": "/mnt/vault/api-token"},
        "rabbitmq": {"existingSecret": "", "urlFile": "/mnt/vault/amqp-url"},
        "extraVolumes": [{"name": "vault", "csi": {"driver": "secrets-store.csi.k8s.io"}}],
        "extraVolumeMounts": [{"name": "vault", "mountPath": "/mnt/vault"}],
        "caBundle": {"existingConfigMap": "authorities"},
        "extraManifests": [{**about, "data": {"ca-bundle.crt": authorities}}],
    }
    found = manifests(merged(MINIMAL_SQLITE, quick, values))
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "amqp-url").write_text(amqp_url)
    (tmp_path / "vault" / "api-token").write_text("token")
    spec = only(found, "Pod")["spec"]
    with Pod(found, {}, tmp_path) as running:
        declared = running.run(
            container(found), command=("recording-worker", "topology", "declare")
        )
        assert await declared.ended() == 0, declared.output
        done = running.run(spec["containers"][0], spec=spec)
        assert await done.ended() == 0, done.output
        assert "/run/ca-bundle/ca.crt" in done.output


async def test_the_statefulset_keeps_its_state_on_the_volume(
    quick: Values, amqp_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    found = manifests(merged(MINIMAL_SQLITE, quick))
    secrets = {"broker": {"amqp-url": amqp_url}, "api": {"api-token": "token"}}
    with Pod(found, secrets, tmp_path) as running:
        worker = running.run(container(found))
        await wait_for_probe(worker, "readinessProbe", eventually)
        for words in in_the_pod(merged(MINIMAL_SQLITE, quick)):
            line = shlex.join(MEETING if word == "$MEETING" else word for word in words)
            command = ("sh", "-c", f"echo {shlex.quote(amqp_url)} | {line}")
            done = running.run(container(found), command=command)
            assert await done.ended() == 0, done.output
        worker.terminate()
        assert await worker.ended() == 0, worker.output
        assert (tmp_path / "state" / "state.db").exists()
        shown = running.run(container(found), command=("recording-worker", "recordings"))
        assert await shown.ended() == 0, shown.output
        assert MEETING in shown.output


async def test_a_stuck_worker_fails_its_probe_and_the_next_one_does_its_work(
    quick: Values, amqp_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    probe = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 3}
    stuck = {
        "probes": {"liveness": probe},
        "settings": {"WORKER_SHUTDOWN_SECONDS": 1},
        "shutdownMarginSeconds": 5,
        "extraEnv": [{"name": "STUCK_FILE", "value": "/var/lib/recording-worker/stuck"}],
    }
    found = manifests(merged(MINIMAL_SQLITE, quick, stuck))
    secrets = {"broker": {"amqp-url": amqp_url}, "api": {"api-token": "token"}}
    with Pod(found, secrets, tmp_path) as running:
        worker = running.run(container(found), command=("python", "-m", *STUCK_RELAY_MODULE))
        await wait_for_probe(worker, "readinessProbe", eventually)
        (tmp_path / "state" / "stuck").write_text("blocks")
        async with asyncio.timeout(60):
            await worker.fails("livenessProbe")
        sent = running.run(container(found), command=(*START, "--wait"))
        worker.terminate()
        grace = pod(found)["spec"]["terminationGracePeriodSeconds"]
        with pytest.raises(AssertionError, match="not within"):
            await worker.ended(seconds=grace)
        worker.kill()
        await worker.ended()

        (tmp_path / "state" / "stuck").unlink()
        following = running.run(container(found))
        assert await sent.ended() == 0, sent.output
        await wait_for_probe(following, "livenessProbe", eventually)


async def test_each_of_several_apps_uses_its_own_token(
    quick: Values, api: Sandbox, amqp_url: str, tmp_path: Path, eventually: Eventually
) -> None:
    api.tokens.revoke("revoked")
    apps = {
        name: {"accountId": "account", "appId": name, "existingSecret": name}
        for name in ("eu", "trials")
    }
    none = {"realtimekit": {"accountId": "", "appId": "", "existingSecret": ""}, "apps": apps}
    found = manifests(merged(MINIMAL_SQLITE, quick, none))
    secrets = {
        "broker": {"amqp-url": amqp_url},
        "eu": {"api-token": "good"},
        "trials": {"api-token": "revoked"},
    }
    with Pod(found, secrets, tmp_path) as running:
        worker = running.run(container(found))
        await wait_for_probe(worker, "readinessProbe", eventually)

        await send_start(running, found, "--field", "app=eu")
        running.run(container(found), command=(*START, "--field", "app=trials"))

        async def one_of_two_is_in_trouble() -> bool:
            _, body = await answer(worker.url("readinessProbe"))
            checks: Manifest = body["checks"]
            return checks["api/eu"]["ok"] and not checks["api/trials"]["ok"]

        await eventually(one_of_two_is_in_trouble)


async def test_the_worker_cannot_write_outside_its_volumes(
    quick: Values, amqp_url: str, tmp_path: Path
) -> None:
    found = manifests(merged(MINIMAL_SQLITE, quick))
    secrets = {"broker": {"amqp-url": amqp_url}, "api": {"api-token": "token"}}
    script = "import os, json; print(json.dumps([os.getuid(), os.access('/etc', os.W_OK), "
    script += "os.access('/', os.W_OK), os.access('/run/secrets/recording-worker', os.W_OK), "
    script += "os.access('/tmp', os.W_OK), os.access('/var/lib/recording-worker', os.W_OK)]))"
    with Pod(found, secrets, tmp_path) as running:
        probe = running.run(container(found), command=("python", "-c", script))
        assert await probe.ended() == 0, probe.output
        uid, *writable = json.loads(probe.output)
    assert uid != 0
    assert writable == [False, False, False, True, True]
