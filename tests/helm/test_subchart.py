"""A parent chart can use this chart twice, by alias and on condition."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from helm_python import Chart

from tests.helm.chart import (
    CHART,
    MINIMAL,
    Manifest,
    Values,
    merged,
    objects,
    of_kind,
    only,
    pod,
    render,
    workload,
)
from tests.helm.kubernetes_schemas import faults, versions

ALIASES: Final = {"eu": "eu", "meetingRecorder": "meeting-recorder"}
"""The aliases of the chart in its parent, and the names that objects get from them."""


def parent(directory: Path, dependencies: list[Values], values: Values) -> Path:
    """A chart that depends on this one."""
    shutil.copytree(CHART, directory / "charts" / "recording-worker")
    about = {"apiVersion": "v2", "name": "meetings", "version": "1.0.0"}
    (directory / "Chart.yaml").write_text(yaml.safe_dump({**about, "dependencies": dependencies}))
    (directory / "values.yaml").write_text(yaml.safe_dump(values))
    return directory


@pytest.fixture(scope="module")
def umbrella(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A parent chart with one dependency for each alias. All are switched off."""
    dependency = {"name": "recording-worker", "version": ">=0.1.0"}
    dependencies = [
        {**dependency, "alias": alias, "condition": f"{alias}.enabled"} for alias in ALIASES
    ]
    values = {alias: {"enabled": False} for alias in ALIASES}
    return parent(tmp_path_factory.mktemp("umbrella"), dependencies, values)


def rendered(chart: Path, values: Values) -> list[Manifest]:
    """The objects of the parent chart. It is loaded again, because rendering drops dependencies."""
    return objects(json.loads(render(Chart.load(chart), json.dumps(values))))


def switched_on(*aliases: str, **more: Any) -> Values:
    """Values of the parent chart that switch these dependencies on."""
    return {alias: merged(MINIMAL, {"enabled": True}, more) for alias in aliases}


def test_a_dependency_whose_condition_is_false_creates_nothing(umbrella: Path) -> None:
    assert rendered(umbrella, {}) == []
    kinds = {found["kind"] for found in rendered(umbrella, switched_on("eu"))}
    assert kinds == {
        "ConfigMap",
        "Deployment",
        "Pod",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }


def test_two_aliases_of_the_chart_do_not_collide(umbrella: Path) -> None:
    found = rendered(umbrella, switched_on(*ALIASES))
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in found]
    assert len(names) == len(set(names))
    deployments = of_kind(found, "Deployment")
    assert {deployment["metadata"]["name"] for deployment in deployments} == {
        f"rw-{name}" for name in ALIASES.values()
    }
    for service in of_kind(found, "Service"):
        selector = service["spec"]["selector"].items()
        pods = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in deployments]
        assert len([labels for labels in pods if selector <= labels.items()]) == 1


def test_a_subchart_renders_to_objects_that_kubernetes_accepts(umbrella: Path) -> None:
    found = rendered(umbrella, switched_on(*ALIASES))
    assert [fault for manifest in found for fault in faults(manifest, versions()[-1])] == []


def test_global_values_of_the_parent_reach_every_pod(umbrella: Path) -> None:
    shared = {"imageRegistry": "registry.example.com:5000", "imagePullSecrets": ["a", "b"]}
    own = {"imagePullSecrets": [{"name": "c"}, "a"], "image": {"registry": "other.example.com"}}
    found = rendered(umbrella, {"global": {**shared, "of": "others"}, **switched_on("eu", **own)})
    for spec in (pod(found)["spec"], only(found, "Pod")["spec"]):
        assert spec["containers"][0]["image"].startswith("registry.example.com:5000/recording-")
        assert spec["imagePullSecrets"] == [{"name": "c"}, {"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize("unset", [{}, {"global": None}, {"global": {"imageRegistry": None}}])
def test_a_parent_may_leave_the_global_values_out(umbrella: Path, unset: Values) -> None:
    found = rendered(umbrella, {**unset, **switched_on("eu", image={"registry": "own.example"})})
    assert pod(found)["spec"]["containers"][0]["image"].startswith("own.example/recording-worker:")


def test_a_parent_can_remove_the_fixed_user(umbrella: Path) -> None:
    user = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
    security = pod(rendered(umbrella, switched_on("eu", **user)))["spec"]["securityContext"]
    assert not security.keys() & {"runAsUser", "runAsGroup", "fsGroup"}


def test_wrong_values_are_refused_with_the_name_of_the_dependency(umbrella: Path) -> None:
    with pytest.raises(Exception, match=r"(?s)meetingRecorder.*replica"):
        rendered(umbrella, switched_on("meetingRecorder", replica=2))


def test_without_a_condition_enabled_false_creates_nothing(tmp_path: Path) -> None:
    dependency = {"name": "recording-worker", "version": ">=0.1.0"}
    chart = parent(tmp_path, [dependency], {})
    assert rendered(chart, {"recording-worker": {"enabled": False}}) == []
    assert workload(rendered(chart, {"recording-worker": MINIMAL}))


def test_the_subchart_of_the_readme_works(tmp_path: Path) -> None:
    section = (CHART / "README.md").read_text().partition("### As a subchart")[2]
    about, values = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[:2]
    dependencies = yaml.safe_load(about)["dependencies"]
    found = rendered(parent(tmp_path, dependencies, {}), yaml.safe_load(values))
    assert workload(found)["metadata"]["name"] == "rw-recorder"
