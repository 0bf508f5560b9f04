"""Runs the containers of a rendered pod in bubblewrap, as the kubelet would.

The root file system is read-only and consists of this machine's programs, this checkout and its
virtual environment. The container runs without root and without privileges. It has the mounts and
the variables of the manifest, and no others.
"""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from recording_sandbox.services.processes import OwnedProcess
from recording_sandbox.waiting import eventually
from tests.helm.chart import Manifest, of_kind, pod

PROJECT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
RANDOM_UID: Final = 1_000_680_000
"""The user when the pod names none, as OpenShift picks it. Its group is root."""

CONFIGURATION: Final = tuple(
    f"/etc/{name}" for name in ("ssl", "hosts", "resolv.conf", "nsswitch.conf", "ld.so.cache")
)


class Projected:
    """A projected volume of Secrets. As with the kubelet, all files change in one step.

    `files` maps paths to texts.
    """

    def __init__(self, place: Path, files: Mapping[str, str]) -> None:
        self.place = place
        place.mkdir(parents=True)
        self.change(files)

    def change(self, files: Mapping[str, str]) -> None:
        """Replace all files by these."""
        version = self.place / f"..{uuid.uuid4().hex}"
        for path, text in files.items():
            file = version / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o440)
        fresh = self.place / "..data_tmp"
        fresh.symlink_to(version.name)
        fresh.rename(self.place / "..data")
        for name in {path.partition("/")[0] for path in files}:
            link = self.place / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)


class Pod:
    """A pod of rendered manifests. `secrets` maps the names of Secrets to their data.

    `directory` holds the volumes. Leaving the context kills every container. Tests need the fixture
    `bubblewrap`, which installs the program.
    """

    def __init__(
        self, found: list[Manifest], secrets: Mapping[str, Mapping[str, str]], directory: Path
    ) -> None:
        self._found = found
        self._directory = directory
        self._running: list[OwnedProcess] = []
        self._data = dict(secrets)
        self._secrets: dict[str, Projected] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()

    def change_secret(self, name: str, data: Mapping[str, str]) -> None:
        """Change the data of a Secret. Its files change in every container that mounts them."""
        self._data[name] = data
        for volume in pod(self._found)["spec"]["volumes"]:
            if volume["name"] in self._secrets:
                self._secrets[volume["name"]].change(self._projection(volume))

    def run(
        self, container: Manifest, *, command: Sequence[str] = (), spec: Manifest | None = None
    ) -> "Container":
        """Start a container of the pod, or of another pod with this `spec`."""
        spec = spec or pod(self._found)["spec"]
        log = self._directory / f"{container['name']}-{uuid.uuid4().hex[:6]}.log"
        process = OwnedProcess(
            [*self._command_prefix(container, spec), "--", *(command or container["command"])],
            environ={"PATH": os.environ["PATH"]},
            log=log,
        )
        self._running.append(process)
        return Container(process, container, log)

    def _command_prefix(self, container: Manifest, spec: Manifest) -> list[str]:
        inside = [PROJECT, Path(sys.prefix), Path(sys.base_prefix)]
        places = [
            *map(Path, (*PROGRAMS, *CONFIGURATION)),
            *(place for place in inside if place.parts[:2] != ("/", "usr")),
        ]
        options = ["bwrap", "--die-with-parent", *_identity(container, spec)]
        options += ["--dev", "/dev", "--proc", "/proc"]
        # Volumes are mounted first, because one may cover the directory of the checkout.
        for mount in container["volumeMounts"]:
            options += self._mount(mount, spec)
        for place in places:
            if place.is_symlink():
                options += ["--symlink", str(place.readlink()), str(place)]
            elif place.exists():
                options += ["--ro-bind", str(place), str(place)]
        options += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
        path = f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        for name, value in {"PATH": path, **self.environment(container)}.items():
            options += ["--setenv", name, value]
        return options

    def environment(self, container: Manifest) -> dict[str, str]:
        """The variables of the container."""
        maps = {
            config_map["metadata"]["name"]: config_map["data"]
            for config_map in of_kind(self._found, "ConfigMap")
        }
        variables: dict[str, str] = {}
        for source in container["envFrom"]:
            variables |= maps[source["configMapRef"]["name"]]
        return variables | {variable["name"]: variable["value"] for variable in container["env"]}

    def _mount(self, mount: Manifest, spec: Manifest) -> list[str]:
        target = mount["mountPath"]
        volumes = [*spec["volumes"], *self._claims()]
        (volume,) = [candidate for candidate in volumes if candidate["name"] == mount["name"]]
        if "emptyDir" in volume:
            return ["--perms", "1777", "--tmpfs", target]
        place = self._directory / volume["name"]
        if "projected" in volume:
            return ["--ro-bind", str(self._project(volume, place).place), target]
        if "configMap" in volume:
            (source,) = [
                config_map
                for config_map in of_kind(self._found, "ConfigMap")
                if config_map["metadata"]["name"] == volume["configMap"]["name"]
            ]
            place.mkdir(exist_ok=True)
            paths = {item["key"]: item["path"] for item in volume["configMap"].get("items", [])}
            for name, text in source["data"].items():
                (place / paths.get(name, name)).write_text(text)
            return ["--ro-bind", str(place), target]
        place.mkdir(exist_ok=True)
        return ["--bind", str(place), target]

    def _claims(self) -> list[Manifest]:
        return [
            claim["metadata"]
            for stateful_set in of_kind(self._found, "StatefulSet")
            for claim in stateful_set["spec"]["volumeClaimTemplates"]
        ]

    def _project(self, volume: Manifest, place: Path) -> Projected:
        name = volume["name"]
        if name not in self._secrets:
            self._secrets[name] = Projected(place, self._projection(volume))
        return self._secrets[name]

    def _projection(self, volume: Manifest) -> dict[str, str]:
        assert volume["projected"]["defaultMode"] == 0o440
        return {
            item["path"]: self._data[source["secret"]["name"]][item["key"]]
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        }


class Container:
    """A running container."""

    def __init__(self, process: OwnedProcess, about: Manifest, log: Path) -> None:
        self._process = process
        self._about = about
        self._log = log

    @property
    def running(self) -> bool:
        """Whether the container is still running."""
        return self._process.running

    @property
    def output(self) -> str:
        """Everything that it wrote to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def url(self, probe: str) -> str:
        """The URL that the kubelet requests for this probe."""
        about = self._about[probe]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self._about["ports"]}
        return f"http://127.0.0.1:{ports[about['port']]}{about['path']}"

    @property
    def pid(self) -> int:
        """The id of the first process in the container."""
        bubble = self._process.pid
        (child,) = Path(f"/proc/{bubble}/task/{bubble}/children").read_text().split()
        return int(child)

    async def fails(self, probe: str) -> None:
        """Return when the probe has failed `failureThreshold` times in a row."""
        about = self._about[probe]
        timeout = aiohttp.ClientTimeout(total=about["timeoutSeconds"])
        failures = 0
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while failures < about["failureThreshold"]:
                await asyncio.sleep(about["periodSeconds"])
                failures = 0 if await _is_passing(http, self.url(probe)) else failures + 1

    def terminate(self) -> None:
        """Send SIGTERM, as the kubelet does first."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, as the kubelet does after the grace period."""
        os.kill(self.pid, signal.SIGKILL)

    async def ended(self, *, seconds: float = 30) -> int:
        """Wait for the end of the container, and return its exit code."""
        await eventually(
            lambda: not self._process.running, seconds=seconds, description=self.output
        )
        code = self._process.exit_code
        assert code is not None
        return code


async def _is_passing(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return 200 <= answer.status < 400
    except (aiohttp.ClientError, TimeoutError):
        return False


def _identity(container: Manifest, spec: Manifest) -> list[str]:
    """Options that run the container as an unprivileged user in a separate user namespace.

    In that namespace our files belong to the user, so the checkout is readable even if only we may
    read it. The read-only mounts prevent writes.
    """
    user: dict[str, Any] = spec["securityContext"]
    assert user["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    uid, gid = user.get("runAsUser", RANDOM_UID), user.get("runAsGroup", 0)
    return ["--unshare-user", "--uid", str(uid), "--gid", str(gid)]
