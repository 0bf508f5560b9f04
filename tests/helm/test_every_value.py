"""Every value has an effect: changing it changes the rendered objects."""

from typing import Any, Final

import pytest

from tests.helm import documents
from tests.helm.chart import MINIMAL, MINIMAL_SQLITE, Values, manifests, merged
from tests.helm.kubernetes_schemas import faults, versions
from tests.helm.test_manifests import SWITCHES

ON: Final = merged(
    MINIMAL,
    *(values for name, values in SWITCHES.items() if name not in {"apps file", "hpa"}),
    SWITCHES["console"],
    {
        "image": {"digest": ""},
        "topologyOperator": {"cluster": {"connectionSecret": ""}},
        "topologySpread": {"keys": ["zone"]},
        "serviceAccount": {"create": True},
        "podDisruptionBudget": {"enabled": True},
        "fullnameOverride": "",
        "console": {"tokenFile": "", "rabbitmq": {"urlFile": ""}, "resources": {}},
    },
)
"""As many switches as possible are on at the same time."""

ONE_REPLICA: Final[Values] = {
    "replicas": 1,
    "autoscaling": {"kind": "none"},
    "podDisruptionBudget": {"minAvailable": ""},
}

PREREQUISITES: Final[dict[str, Values]] = {
    "replicas": {"autoscaling": {"kind": "none"}},
    "appsFile": {"appsFile": {"existingSecret": "apps"}},
    "autoscaling.hpa": {"autoscaling": {"kind": "hpa"}},
    "database.volume": MINIMAL_SQLITE | ONE_REPLICA | {"console": {"enabled": False}},
    "database.engine": {"console": {"enabled": False}},
    "console.resources": {"console": {"resources": {"limits": {"memory": "1Gi"}}}},
    "console.database.urlFile": {"console": {"database": {"existingSecret": ""}}},
    "console.rabbitmq.urlFile": {
        "console": {"rabbitmq": {"existingSecret": "", "urlFile": "/mnt/amqp-url"}}
    },
    "console.tokenFile": {"console": {"existingSecret": "", "tokenFile": "/mnt/token"}},
    "topologyOperator.cluster.connectionSecret": {
        "topologyOperator": {"cluster": {"name": "", "connectionSecret": "rabbit"}}
    },
    "networkPolicy.api": {"proxy": {"url": ""}},
    "resources": {"resources": {"limits": {"memory": "1Gi"}}},
    "serviceAccount.create": {"serviceAccount": {"name": ""}},
    "image.registry": {"global": {"imageRegistry": ""}},
    "podDisruptionBudget.maxUnavailable": {"podDisruptionBudget": {"minAvailable": ""}},
    "podDisruptionBudget.minAvailable": {"autoscaling": {"minReplicas": 5}},
    "caBundle.existingConfigMap": {"caBundle": {"existingSecret": ""}},
}
"""Other values that must change for a value, or the values below it, to have an effect."""

ANOTHER: Final[dict[str, Any]] = {
    "image.digest": f"sha256:{'1' * 64}",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "another"}],
    "apps": {"us": {"accountId": "a", "appId": "b", "existingSecret": "us"}},
    "database.engine": "sqlite",
    "image.registry": "another.example.com",
    "global.imageRegistry": "another.example.com",
    "global.imagePullSecrets": ["another"],
    "updateStrategy": {"rollingUpdate": {"maxSurge": 2}},
    "proxy.url": "http://another.example.com:3129",
    "proxy.noProxy": ["another.example.com"],
    "podDisruptionBudget.minAvailable": 2,
    "networkPolicy.proxy.to": [{"podSelector": {}}],
    "metrics.serviceMonitor.scrapeTimeout": "5s",
    "metrics.serviceMonitor.targetLabels": ["another"],
    "metrics.serviceMonitor.podTargetLabels": ["another"],
    "metrics.serviceMonitor.relabelings": [{"action": "labelmap", "regex": "a_(.+)"}],
    "metrics.serviceMonitor.metricRelabelings": [{"action": "labeldrop", "regex": "a"}],
    "metrics.serviceMonitor.scheme": "http",
    "metrics.serviceMonitor.tlsConfig": {"insecureSkipVerify": False},
    "metrics.prometheusRule.grafana": "https://grafana.example.com",
    "metrics.dashboard.console": "https://console.example.com",
    "console.allowedHosts": ["another.example.com"],
    "console.trustedProxies": ["192.0.2.0/24"],
    "console.tokenFile": "/mnt/another",
    "console.rabbitmq.urlFile": "/mnt/another",
    "console.database.urlFile": "/mnt/another",
    "console.service.type": "LoadBalancer",
    "console.resources": {"requests": {"memory": "200Mi"}},
    "dnsPolicy": "Default",
    "dnsConfig": {"nameservers": ["10.0.0.9"]},
    "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["another"]}],
    "initContainers": [{"name": "another", "image": "another"}],
    "sidecars": [{"name": "another", "image": "another"}],
    "extraManifests": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "another"}}],
    "database.tls.mode": "require",
    "database.volume.size": "6Gi",
    "database.volume.accessModes": ["ReadWriteOncePod"],
    "settings": {"WORKER_PREFETCH": 7},
    "service.type": "LoadBalancer",
    "service.ipFamilyPolicy": "PreferDualStack",
    "webhooks.httpRoute.parentRefs": [{"name": "another"}],
    "autoscaling.kind": "hpa",
    "podDisruptionBudget.maxUnavailable": 3,
    "archive.url": "file:///srv/others",
    "archive.variables": {"AWS_REGION": "us-east-1"},
    "archive.volume": {"emptyDir": {}},
    "networkPolicy.extraEgress": [{"ports": [{"port": 4317}]}],
    "metrics.serviceMonitor.interval": "45s",
    "resources": {"requests": {"memory": "200Mi"}},
    "topologySpread.keys": ["rack"],
    "topologySpread.whenUnsatisfiable": "DoNotSchedule",
    "tolerations": [{"key": "another", "operator": "Exists"}],
    "affinity": {"podAffinity": {}},
    "extraEnv": [{"name": "LANG", "value": "C"}],
    "extraVolumes": [{"name": "more", "emptyDir": {"medium": "Memory"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/another"}],
}
"""Another valid value, where one cannot be derived."""


ANOTHER_FIELD: Final[dict[str, Values]] = {
    "probes": {"initialDelaySeconds": 7},
    "podSecurityContext": {"runAsUser": 12345},
    "securityContext": {"privileged": False},
}


def another_value(path: str, current: Any) -> Any:
    """Another valid value."""
    if path in ANOTHER:
        return ANOTHER[path]
    if isinstance(current, bool):
        return not current
    if isinstance(current, int):
        return current + 1
    if isinstance(current, str):
        return f"{current}a" if current else "another"
    if isinstance(current, list):
        return [12345] if path.endswith("ports") else [{"podSelector": {}}]
    return {**current, **ANOTHER_FIELD.get(path.partition(".")[0], {"another": "text"})}


INSTEAD_OF_A_SECRET: Final = {
    f"{name}.{key}"
    for name, key in (
        ("realtimekit", "tokenFile"),
        ("rabbitmq", "urlFile"),
        ("database", "urlFile"),
        ("appsFile", "file"),
        ("storageProfiles", "file"),
        ("tracing", "headersFile"),
    )
}
REFUSALS: Final = {"allowZeroReplicas"}
"""Values whose effect is that other values are refused or not."""


def at(values: Values, path: tuple[str, ...]) -> Any:
    """The value at this path, or None."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize(
    "value",
    [value for value in documents.values() if ".".join(value.path) not in REFUSALS],
    ids=lambda value: ".".join(value.path),
)
def test_every_value_has_an_effect_that_kubernetes_accepts(
    value: documents.Value,
) -> None:
    path = ".".join(value.path)
    needed = [values for name, values in PREREQUISITES.items() if f"{path}.".startswith(f"{name}.")]
    base = merged(ON, *needed)
    current = at(base, value.path)
    change: Any = another_value(path, value.default if current is None else current)
    if path in INSTEAD_OF_A_SECRET:
        change = "/mnt/secrets/another"
    for name in reversed(value.path):
        change = {name: change}
    if path in INSTEAD_OF_A_SECRET:
        change[value.path[0]]["existingSecret"] = ""
    if path == "database.engine":
        change |= ONE_REPLICA

    after = manifests(merged(base, change))

    assert after != manifests(base)
    assert [fault for manifest in after for fault in faults(manifest, versions()[-1])] == []
