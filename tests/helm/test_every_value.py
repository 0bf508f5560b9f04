"""There is no value that does nothing: each, when it is changed, changes what is made."""

from typing import Any, Final

import pytest

from tests.helm import documents
from tests.helm.chart import LEAST, LEAST_SQLITE, Values, manifests, merged
from tests.helm.kubernetes import faults, versions
from tests.helm.test_manifests import SWITCHES

ON: Final = merged(
    LEAST,
    *(values for name, values in SWITCHES.items() if name not in {"apps file", "hpa"}),
    {
        "image": {"digest": ""},
        "topologyOperator": {"cluster": {"connectionSecret": ""}},
        "topologySpread": {"keys": ["zone"]},
        "serviceAccount": {"create": True},
        "podDisruptionBudget": {"enabled": True},
        "fullnameOverride": "",
    },
)
"""Everything is switched on that can be at a time."""

INSTEAD: Final[dict[str, Values]] = {
    "replicas": {"autoscaling": {"kind": "none"}},
    "appsFile": {"appsFile": {"existingSecret": "apps"}},
    "autoscaling.hpa": {"autoscaling": {"kind": "hpa"}},
    "database.volume": LEAST_SQLITE | {"autoscaling": {"kind": "none"}},
    "topologyOperator.cluster.connectionSecret": {
        "topologyOperator": {"cluster": {"name": "", "connectionSecret": "rabbit"}}
    },
    "resources": {"resources": {"limits": {"memory": "1Gi"}}},
    "serviceAccount.create": {"serviceAccount": {"name": ""}},
}
"""What must be otherwise for a value, or for those below it, to count."""

OTHER: Final[dict[str, Any]] = {
    "image.digest": f"sha256:{'1' * 64}",
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "another"}],
    "apps": {"us": {"accountId": "a", "appId": "b", "existingSecret": "us"}},
    "database.engine": "sqlite",
    "database.tls.mode": "require",
    "database.volume.size": "6Gi",
    "database.volume.accessModes": ["ReadWriteOncePod"],
    "settings": {"WORKER_PREFETCH": 7},
    "service.type": "LoadBalancer",
    "webhooks.httpRoute.parentRefs": [{"name": "another"}],
    "autoscaling.kind": "hpa",
    "podDisruptionBudget.maxUnavailable": 3,
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
"""Values for which no other one can be made up."""


OF_MEMBERS: Final[dict[str, Values]] = {
    "probes": {"initialDelaySeconds": 7},
    "podSecurityContext": {"runAsUser": 12345},
    "securityContext": {"privileged": False},
}


def other(path: str, now: Any) -> Any:
    """Another value that would be taken as well."""
    if path in OTHER:
        return OTHER[path]
    if isinstance(now, bool):
        return not now
    if isinstance(now, int):
        return now + 1
    if isinstance(now, str):
        return f"{now}a" if now else "another"
    if isinstance(now, list):
        return [12345] if path.endswith("ports") else [{"podSelector": {}}]
    return {**now, **OF_MEMBERS.get(path.partition(".")[0], {"another": "text"})}


def at(values: Values, path: tuple[str, ...]) -> Any:
    """What is there, or nothing."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize("value", documents.values(), ids=lambda value: ".".join(value.path))
def test_every_value_makes_a_difference_and_one_that_kubernetes_takes(
    value: documents.Value,
) -> None:
    path = ".".join(value.path)
    needed = [values for name, values in INSTEAD.items() if f"{path}.".startswith(f"{name}.")]
    base = merged(ON, *needed)
    given = at(base, value.path)
    change: Any = other(path, value.default if given is None else given)
    for name in reversed(value.path):
        change = {name: change}
    if path == "database.engine":
        change |= {"replicas": 1, "autoscaling": {"kind": "none"}}

    after = manifests(merged(base, change))

    assert after != manifests(base)
    assert [fault for one in after for fault in faults(one, versions()[-1])] == []
