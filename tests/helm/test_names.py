"""Names and texts that YAML or Kubernetes could misread."""

import re
from typing import Final

import pytest

from tests.helm.chart import (
    MINIMAL,
    MINIMAL_SQLITE,
    Values,
    manifests,
    merged,
    of_kind,
    workload,
)
from tests.helm.kubernetes_schemas import faults, versions
from tests.helm.test_every_value import ON

RELEASES: Final = (
    "123",
    "1e3",
    "true",
    "null",
    "on",
    "v1.2.3",
    "0.0.0",
    "recording-worker",
    "my.recording-worker.eu",
    "a" * 53,
    f"{'a' * 25}.{'b' * 27}",
    f"{'a' * 44}-{'b' * 8}",
)
SERVICE_NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LABEL: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
ODD: Final = "123"
"""A valid name of a Secret that YAML reads as a number."""


@pytest.mark.parametrize("name", RELEASES)
@pytest.mark.parametrize("values", [MINIMAL, MINIMAL_SQLITE], ids=["deployment", "stateful set"])
def test_every_release_name_gives_valid_names(name: str, values: Values) -> None:
    found = manifests(values, name=name)
    assert [fault for manifest in found for fault in faults(manifest, versions()[-1])] == []
    for manifest in found:
        about = manifest["metadata"]
        assert SERVICE_NAME.fullmatch(about["name"]), about["name"]
        assert len(about["name"]) <= 63
        assert all(LABEL.fullmatch(text) for text in about["labels"].values()), about["labels"]
        assert about["labels"]["app.kubernetes.io/instance"] == name


def test_two_long_release_names_do_not_share_a_name() -> None:
    full = {
        workload(manifests(MINIMAL, name=f"{'a' * 51}-{last}"))["metadata"]["name"]
        for last in "xyz"
    }
    assert len(full) == 3


@pytest.mark.parametrize("full", ["on", "null", "true", "y"])
def test_a_full_name_stays_a_text(full: str) -> None:
    found = manifests(merged(ON, {"fullnameOverride": full}))
    assert [fault for manifest in found for fault in faults(manifest, versions()[-1])] == []
    services = {service["metadata"]["name"] for service in of_kind(found, "Service")}
    assert services == {full, f"{full}-console"}


def test_a_name_that_looks_like_a_number_stays_a_text() -> None:
    odd = {
        "realtimekit": {"accountId": ODD, "appId": ODD, "existingSecret": ODD, "tokenKey": ODD},
        "rabbitmq": {"existingSecret": ODD, "tls": {"existingSecret": ODD, "caKey": ODD}},
        "database": {"existingSecret": ODD, "tls": {"existingSecret": ODD, "caKey": ODD}},
        "storageProfiles": {"existingSecret": ODD},
        "tracing": {"existingSecret": ODD},
        "apps": {ODD: {"accountId": ODD, "appId": ODD, "existingSecret": ODD}},
        "caBundle": {"existingSecret": ODD},
        "serviceAccount": {"name": ODD},
        "priorityClassName": ODD,
        "imagePullSecrets": [ODD, {"name": ODD}],
        "topologySpread": {"keys": [ODD]},
        "commonLabels": {ODD: ODD},
        "settings": {"WORKER_NAME_PREFIX": ODD, "WORKER_SOURCE": "true"},
        "metrics": {"serviceMonitor": {"enabled": True, "jobLabel": ODD, "targetLabels": [ODD]}},
        "autoscaling": {"kind": "keda", "keda": {"existingSecret": ODD, "urlKey": ODD}},
        "webhooks": {
            "host": "1.23",
            "ingress": {"enabled": True, "className": ODD, "tlsSecret": ODD},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": ODD}]},
        },
        "topologyOperator": {
            "enabled": True,
            "cluster": {"name": ODD, "namespace": "1"},
            "user": {"credentialsSecret": ODD},
        },
    }
    found = manifests(merged(MINIMAL, odd))
    assert [fault for manifest in found for fault in faults(manifest, versions()[-1])] == []
    volume = manifests(merged(MINIMAL_SQLITE, {"database": {"volume": {"storageClassName": ODD}}}))
    assert [fault for manifest in volume for fault in faults(manifest, versions()[-1])] == []


@pytest.mark.parametrize("key", ["app.kubernetes.io/name", "app.kubernetes.io/component"])
def test_own_labels_cannot_detach_the_pods(key: str) -> None:
    changed = {"podLabels": {key: "other", "a": "b"}, "commonLabels": {key: "other", "c": "d"}}
    spec = workload(manifests(merged(MINIMAL, changed)))["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert {"a": "b", "c": "d"}.items() <= labels.items()
