"""Every example and every switch renders to objects that Kubernetes accepts."""

from typing import Final

import helm_python
import pytest
import yaml

from tests.helm.chart import (
    CHART,
    EXAMPLES,
    MINIMAL,
    MINIMAL_SQLITE,
    Values,
    example,
    manifests,
    merged,
)
from tests.helm.kubernetes_schemas import faults, versions

HOST: Final = {"host": "recordings.example.com"}
PEER: Final = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
RULE: Final = [{"ports": [{"port": 4318}]}]
VOLUME: Final = {"name": "more", "emptyDir": {}}
SWITCHES: Final[dict[str, Values]] = {
    "names": {"nameOverride": "recorder", "commonLabels": {"team": "meetings"}},
    "full name": {"fullnameOverride": "recorder"},
    "image digest": {"image": {"digest": f"sha256:{'0' * 64}"}},
    "pull secrets": {"imagePullSecrets": [{"name": "registry"}]},
    "broker TLS": {"rabbitmq": {"tls": {"existingSecret": "certificates"}}},
    "broker client certificate": {
        "rabbitmq": {"tls": {"existingSecret": "tls", "certKey": "tls.crt", "keyKey": "tls.key"}}
    },
    "database TLS": {"database": {"tls": {"existingSecret": "tls", "mode": "verify-ca"}}},
    "database client certificate": {
        "database": {"tls": {"existingSecret": "tls", "certKey": "tls.crt", "keyKey": "tls.key"}}
    },
    "storage profiles": {"storageProfiles": {"existingSecret": "storage"}},
    "archive in a folder": {
        "archive": {
            "url": "file:///srv/recordings",
            "key": "{app}/{recording_id}/{file_name}",
            "manifestKey": "{app}/{recording_id}/manifest.json",
            "maxBytesPerSecond": 100_000_000,
            "existingSecret": "bucket",
            "variables": {"AWS_REGION": "eu-central-1"},
            "volume": {"persistentVolumeClaim": {"claimName": "recordings"}},
        }
    },
    "headers for traces": {"tracing": {"existingSecret": "traces", "headersKey": "headers"}},
    "apps file": {"appsFile": {"existingSecret": "apps"}},
    "settings": {"settings": {"WORKER_MAX_COMMAND_BYTES": 2_097_152, "WORKER_FOLLOW_ALL": True}},
    "service": {"service": {"type": "NodePort", "port": 9000, "annotations": {"a": "b"}}},
    "ingress": {
        "webhooks": {
            **HOST,
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "annotations": {"a": "b"},
                "tlsSecret": "tls",
            },
        }
    },
    "gateway": {
        "webhooks": {
            **HOST,
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "public", "namespace": "gateways"}],
                "annotations": {"a": "b"},
            },
        }
    },
    "webhooks by other means": {"webhooks": HOST},
    "hpa": {"autoscaling": {"kind": "hpa"}},
    "keda": {"autoscaling": {"kind": "keda", "keda": {"existingSecret": "management"}}},
    "no budget for disruptions": {"podDisruptionBudget": {"enabled": False}},
    "disruptions in percent": {"podDisruptionBudget": {"maxUnavailable": "50%"}},
    "network policy": {"networkPolicy": {"enabled": True}},
    "network policy with peers": {
        "networkPolicy": {
            "enabled": True,
            "scrapeFrom": PEER,
            "webhooksFrom": PEER,
            "broker": {"to": PEER},
            "database": {"to": PEER},
            "dns": {"to": []},
            "extraEgress": RULE,
        }
    },
    "annotations for scraping": {"metrics": {"annotations": True}},
    "service monitor": {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"a": "b"}}}},
    "alerts": {"metrics": {"prometheusRule": {"enabled": True, "labels": {"a": "b"}}}},
    "dashboard": {"metrics": {"dashboard": {"enabled": True, "annotations": {"folder": "b"}}}},
    "console": {
        "console": {
            "enabled": True,
            "existingSecret": "console",
            "rabbitmq": {"existingSecret": "operator"},
        }
    },
    "console with all": {
        "console": {
            "enabled": True,
            "tokenFile": "/mnt/token",
            "existingSecret": "",
            "allowedHosts": ["recordings.example.com"],
            "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
            "rabbitmq": {"existingSecret": "", "urlFile": "/mnt/amqp-url"},
            "database": {"existingSecret": "reader"},
            "service": {"type": "NodePort", "port": 9000, "annotations": {"a": "b"}},
            "resources": None,
        },
        "networkPolicy": {"enabled": True, "consoleFrom": PEER},
        "database": {"tls": {"existingSecret": "tls", "certKey": "tls.crt", "keyKey": "tls.key"}},
    },
    "topology operator": {
        "topologyOperator": {
            "enabled": True,
            "cluster": {"name": "rabbit", "namespace": "messaging"},
            "user": {"credentialsSecret": "worker"},
        }
    },
    "topology operator elsewhere": {
        "topologyOperator": {"enabled": True, "cluster": {"connectionSecret": "rabbit"}}
    },
    "no service account": {"serviceAccount": {"create": False}},
    "another service account": {
        "serviceAccount": {"name": "shared", "annotations": {"role": "none"}},
    },
    "shared registry": {
        "global": {
            "imageRegistry": "registry.example.com",
            "imagePullSecrets": ["shared"],
        },
        "image": {"registry": "other.example.com"},
    },
    "update strategy": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}}},
    "available replicas": {"podDisruptionBudget": {"minAvailable": 1}},
    "proxy": {
        "proxy": {"url": "http://proxy.example.com:3128", "noProxy": [".svc", "10.0.0.0/8"]},
        "networkPolicy": {"enabled": True},
    },
    "certificate authorities": {"caBundle": {"existingConfigMap": "authorities"}},
    "certificate authorities in a Secret": {
        "caBundle": {"existingConfigMap": "", "existingSecret": "authorities"}
    },
    "scraping": {
        "metrics": {
            "serviceMonitor": {
                "enabled": True,
                "namespace": "monitoring",
                "scrapeTimeout": "10s",
                "annotations": {"a": "b"},
                "jobLabel": "app.kubernetes.io/name",
                "targetLabels": ["team"],
                "podTargetLabels": ["app.kubernetes.io/version"],
                "honorLabels": True,
                "relabelings": [{"targetLabel": "cluster", "replacement": "eu"}],
                "metricRelabelings": [
                    {"action": "drop", "sourceLabels": ["__name__"], "regex": "python_.*"}
                ],
                "sampleLimit": 2_000_000,
                "scheme": "https",
                "tlsConfig": {"insecureSkipVerify": True},
            }
        }
    },
    "names of hosts": {
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.2"], "options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "10.0.0.3", "hostnames": ["rabbitmq.example.com"]}],
    },
    "other containers": {
        "initContainers": [
            {"name": "proxy", "image": "proxy:1"},
            {"name": "wait", "image": "{{ .Values.image.repository }}:1", "command": ["true"]},
        ],
        "sidecars": [{"name": "agent", "image": "agent:{{ .Chart.AppVersion }}"}],
    },
    "other objects": {
        "extraManifests": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-more"},
            },
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\n",
        ]
    },
    "no resources": {"resources": None},
    "no topology spread": {"topologySpread": {"keys": []}},
    "places": {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "critical",
    },
    "extras": {
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraVolumes": [VOLUME],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    },
}
CASES: Final[dict[str, Values]] = {
    **{f"example {name}": example(name) for name in EXAMPLES},
    "least": MINIMAL,
    "least on SQLite": MINIMAL_SQLITE,
    **{name: merged(MINIMAL, values) for name, values in SWITCHES.items()},
    **{
        f"{name} on SQLite": merged(MINIMAL_SQLITE, SWITCHES[name])
        for name in (
            "settings",
            "extras",
            "network policy with peers",
            "no resources",
            "update strategy",
            "other containers",
        )
    },
}
LINTED: Final[dict[str, Values]] = {
    "defaults": {},
    **{name: values for name, values in CASES.items() if name.startswith("example")},
    "every switch": merged(MINIMAL, *SWITCHES.values()),
    "SQLite": MINIMAL_SQLITE,
}


@pytest.mark.parametrize("values", LINTED.values(), ids=LINTED)
def test_helm_lint_finds_no_fault(values: Values) -> None:
    found = helm_python.lint(CHART, values, strict=True, quiet=True)
    assert found["errors"] == []
    assert [message for message in found["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid_for_the_oldest_and_the_newest_kubernetes(case: str) -> None:
    for version in (versions()[0], versions()[-1]):
        found = manifests(CASES[case], kubernetes=version)
        assert [fault for manifest in found for fault in faults(manifest, version)] == []
        names = [
            (manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
            for manifest in found
        ]
        assert len(names) == len(set(names))


def test_the_chart_requires_the_oldest_kubernetes_that_is_tested() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={versions()[0]}.0-0"


def test_an_unknown_field_is_a_fault() -> None:
    for manifest in manifests(CASES["keda"]):
        if "spec" in manifest:
            manifest["spec"]["nmae"] = "x"
            assert faults(manifest, versions()[-1]), manifest["kind"]
