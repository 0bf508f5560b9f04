"""The chart as Helm renders it: what tests ask of it."""

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
EXAMPLES: Final = ("small", "production", "several-apps")
NEWEST: Final = "1.37"
RELEASE: Final = "rw"

Manifest = dict[str, Any]
Values = dict[str, Any]

LEAST: Final[Values] = {
    "realtimekit": {"accountId": "account", "appId": "app", "existingSecret": "api"},
    "rabbitmq": {"existingSecret": "broker"},
    "database": {"existingSecret": "postgres"},
}
"""The values that have no default, for a Deployment."""

LEAST_SQLITE: Final[Values] = {
    **LEAST,
    "database": {"engine": "sqlite"},
    "replicas": 1,
}
"""The same for a StatefulSet."""


def example(name: str) -> Values:
    """The values of an example."""
    values: Values = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    return values


def merged(*layers: Mapping[str, Any]) -> Values:
    """Values upon values, as several `-f` would be."""
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
    """What `helm template` makes of each template, by its file.

    Raises:
        helm_python.HelmError: in Helm's words.
    """
    # The wrapper does not hand on the version of Kubernetes, which the library takes.
    options = {"name": name, "namespace": "meetings", "kube_version": f"v{kubernetes}.0"}
    answer = call_string(
        "helm_render",
        _chart()._raw(),
        json.dumps(values),
        json.dumps(options),
    )
    rendered: dict[str, str] = json.loads(answer)
    return {path.removeprefix("recording-worker/templates/"): it for path, it in rendered.items()}


def manifests(values: Values, *, kubernetes: str = NEWEST, name: str = RELEASE) -> list[Manifest]:
    """The objects that would be made, hooks included."""
    rendered = texts(values, kubernetes=kubernetes, name=name)
    return [
        manifest
        for path, text in rendered.items()
        if path.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest is not None
    ]


def of_kind(found: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Those of a kind."""
    return [one for one in found if one["kind"] == kind]


def only(found: Iterable[Manifest], kind: str) -> Manifest:
    """The single one of its kind."""
    (one,) = of_kind(found, kind)
    return one


def workload(found: Iterable[Manifest]) -> Manifest:
    """The Deployment or the StatefulSet."""
    (one,) = [one for one in found if one["kind"] in {"Deployment", "StatefulSet"}]
    return one


def pod(found: Iterable[Manifest]) -> Manifest:
    """The template of the workload's pods."""
    template: Manifest = workload(found)["spec"]["template"]
    return template


def container(found: Iterable[Manifest]) -> Manifest:
    """The worker's container."""
    (one,) = pod(found)["spec"]["containers"]
    worker: Manifest = one
    return worker


def refusal(values: Values) -> str:
    """What Helm says about values that are wrong."""
    try:
        texts(values)
    except helm_python.HelmError as error:
        return str(error)
    raise AssertionError("these values were taken")
