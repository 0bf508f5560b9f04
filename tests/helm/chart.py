"""Renders the chart for tests, and finds objects in the result."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml
from helm_python import Chart
from helm_python._native import call_string

CHART: Final = Path(__file__).parents[2] / "helm" / "recording-worker"
EXAMPLES: Final = tuple(sorted(path.stem for path in (CHART / "examples").glob("*.yaml")))
NEWEST: Final = "1.37"
RELEASE: Final = "rw"

Manifest = dict[str, Any]
Values = dict[str, Any]

MINIMAL: Final[Values] = {
    "realtimekit": {"accountId": "account", "appId": "app", "existingSecret": "api"},
    "rabbitmq": {"existingSecret": "broker"},
    "database": {"existingSecret": "postgres"},
}
"""The values without a default, for a Deployment."""

MINIMAL_SQLITE: Final[Values] = {
    **MINIMAL,
    "database": {"engine": "sqlite"},
    "replicas": 1,
}
"""The values without a default, for a StatefulSet."""


def example(name: str) -> Values:
    """The values of an example."""
    values: Values = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    return values


def merged(*layers: Mapping[str, Any]) -> Values:
    """Merge values as several `-f` flags do; later ones win."""
    result: Values = {}
    for layer in layers:
        for name, value in layer.items():
            known = result.get(name)
            deeper = isinstance(known, dict) and isinstance(value, Mapping)
            result[name] = merged(known or {}, value) if deeper else value
    return result


@cache
def _chart() -> Chart:
    return Chart.load(CHART)


def texts(values: Values, *, kubernetes: str = NEWEST, name: str = RELEASE) -> dict[str, str]:
    """The rendered text of each template, by its file name.

    Raises:
        helm_python.HelmError: has the message of Helm.
    """
    rendered: dict[str, str] = json.loads(_rendered(json.dumps(values), kubernetes, name))
    return {
        path.removeprefix("recording-worker/templates/"): text for path, text in rendered.items()
    }


@cache
def _rendered(values: str, kubernetes: str, name: str) -> str:
    """Helm's answer. Many tests begin with the same values, and a rendering takes 0.1 s."""
    return render(_chart(), values, kubernetes=kubernetes, name=name)


def render(chart: Chart, values: str, *, kubernetes: str = NEWEST, name: str = RELEASE) -> str:
    """Render any chart, including the charts that it depends on. Values and result are JSON."""
    # The wrapper does not pass on the Kubernetes version, which the library accepts.
    options = {"name": name, "namespace": "meetings", "kube_version": f"v{kubernetes}.0"}
    return str(call_string("helm_render", chart._raw(), values, json.dumps(options)))


def manifests(values: Values, *, kubernetes: str = NEWEST, name: str = RELEASE) -> list[Manifest]:
    """The rendered objects, including hooks."""
    return objects(texts(values, kubernetes=kubernetes, name=name))


def objects(rendered: Mapping[str, str]) -> list[Manifest]:
    """The objects in rendered templates."""
    return [
        manifest
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for manifest in json.loads(_as_json(text))
    ]


@cache
def _as_json(text: str) -> str:
    """A template's objects as a JSON array: most templates render alike in most tests."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(
        [manifest for manifest in yaml.load_all(text, loader) if manifest is not None]
    )


def of_kind(found: Iterable[Manifest], kind: str) -> list[Manifest]:
    """The objects of one kind."""
    return [manifest for manifest in found if manifest["kind"] == kind]


def only(found: Iterable[Manifest], kind: str) -> Manifest:
    """The only object of its kind."""
    (manifest,) = of_kind(found, kind)
    return manifest


def workload(found: Iterable[Manifest]) -> Manifest:
    """The Deployment or the StatefulSet."""
    (manifest,) = [
        manifest
        for manifest in found
        if manifest["kind"] in {"Deployment", "StatefulSet"}
        and manifest["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
    ]
    return manifest


def pod(found: Iterable[Manifest]) -> Manifest:
    """The template of the workload's pods."""
    template: Manifest = workload(found)["spec"]["template"]
    return template


def container(found: Iterable[Manifest]) -> Manifest:
    """The worker's container."""
    worker: Manifest
    (worker,) = [
        container for container in pod(found)["spec"]["containers"] if container["name"] == "worker"
    ]
    return worker


def refusal(values: Values) -> str:
    """The message with which Helm refuses these values."""
    try:
        texts(values)
    except helm_python.HelmError as error:
        return str(error)
    raise AssertionError("these values were accepted")
