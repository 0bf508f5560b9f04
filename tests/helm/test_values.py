"""Wrong values are refused by name, and nothing is rendered."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.helm.chart import MINIMAL, MINIMAL_SQLITE, Values, merged, refusal
from tests.helm.documents import schema
from worker.settings.settings import all_variables


def at(path: str, value: Any) -> Values:
    """A value by its path, such as `database.engine`."""
    first, _, rest = path.partition(".")
    return {first: at(rest, value) if rest else value}


WRONG_VALUES: Final[dict[str, Any]] = {
    "replicas": "two",
    "replica": 2,
    "image.pullPolicy": "Sometimes",
    "image.digest": "latest",
    "realtimekit.existingSecret": "Not_A_Name",
    "realtimekit.token": "in-clear",
    "apps.Production": {"accountId": "a", "appId": "b", "existingSecret": "c"},
    "apps.eu": {"accountId": "a", "appId": "b"},
    "rabbitmq.url": "amqp://user:password@host/",
    "database.engine": "mysql",
    "database.tls.mode": "disable",
    "database.volume.size": "5 GB",
    "database.volume.accessModes": ["ReadWriteMany"],
    "settings.WORKER_PREFETC": 10,
    "settings.AMQP_URL": "amqp://user:password@host/",
    "settings.REALTIMEKIT_API_TOKEN": "in-clear",
    "settings.OTEL_EXPORTER_OTLP_HEADERS": "authorization=in-clear",
    "settings.HTTP_PORT": 8080,
    "tracing.existingSecret": "Not_A_Name",
    "tracing.headers": "authorization=in-clear",
    "settings.WORKER_PREFETCH": 0,
    "settings.WORKER_TOPOLOGY": "maybe",
    "settings.WORKER_PARTICIPANT_CHECK": True,
    "settings.LOG_LEVEL": "loud",
    "service.port": 80,
    "webhooks.host": "https://example.com",
    "autoscaling.kind": "vpa",
    "autoscaling.minReplicas": 0,
    "podDisruptionBudget.maxUnavailable": 0,
    "networkPolicy.broker.ports": [],
    "networkPolicy.scrapeFrom": [{"from": "anywhere"}],
    "metrics.serviceMonitor.interval": "often",
    "metrics.prometheusRule.runbooks": "a: b",
    "metrics.serviceMonitor.scrapeTimeout": "soon",
    "metrics.serviceMonitor.scheme": "ftp",
    "image.registry": "https://registry.example.com",
    "global.imageRegistry": "registry.example.com/",
    "global.imagePullSecrets": "registry",
    "updateStrategy.type": "Rolling",
    "rabbitmq.urlFile": "amqp-url",
    "proxy.url": "socks5://proxy:1080",
    "proxy.noProxy": "a,b",
    "hostAliases": [{"ip": "10.0.0.3"}],
    "dnsPolicy": "ClusterFirstWithHostNet",
    "podDisruptionBudget.minAvailable": 0,
    "sidecars": [{"image": "agent"}],
    "extraManifests": [1],
    "probes.liveness.path": "/",
    "extraEnv": {"TZ": "UTC"},
}


@pytest.mark.parametrize("path", WRONG_VALUES)
def test_a_wrong_value_is_refused_by_name(path: str) -> None:
    message = refusal(merged(MINIMAL, at(path, WRONG_VALUES[path])))
    assert path.rpartition(".")[2] in message
    assert "/".join(path.split(".")[:-1]) in message


def bounded(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, int]]:
    """The path of each text that has a length limit and may be letters, and the limit."""
    for name, rule in section.get("properties", {}).items():
        if "maxLength" in rule and re.search(rule.get("pattern", ""), "a"):
            yield f"{path}{name}", rule["maxLength"]
        yield from bounded(rule, f"{path}{name}.")


def test_a_text_that_is_too_long_is_refused_by_name() -> None:
    limits = dict(bounded(schema()))
    assert len(limits) > 40
    message = refusal(merged(MINIMAL, *(at(path, "a" * (limits[path] + 1)) for path in limits)))
    for path, limit in limits.items():
        assert (
            f"at '/{path.replace('.', '/')}': maxLength: got {limit + 1}, want {limit}" in message
        )


CONTRADICTIONS: Final[dict[str, tuple[Values, str]]] = {
    "more than one replica on SQLite": (
        merged(MINIMAL_SQLITE, {"replicas": 2}),
        "replicas: an SQLite file serves one replica, not 2",
    ),
    "SQLite with autoscaling": (
        merged(MINIMAL_SQLITE, {"autoscaling": {"kind": "hpa"}}),
        "autoscaling.kind: an SQLite file serves one replica",
    ),
    "no database": (merged(MINIMAL, at("database.existingSecret", "")), "database.existingSecret:"),
    "no broker": (merged(MINIMAL, at("rabbitmq.existingSecret", "")), "rabbitmq.existingSecret:"),
    "no app id": (merged(MINIMAL, at("realtimekit.appId", "")), "realtimekit.appId:"),
    "no token": (
        merged(MINIMAL, at("realtimekit.existingSecret", "")),
        "realtimekit.existingSecret:",
    ),
    "apps twice": (
        merged(
            MINIMAL,
            at("apps.eu", {"accountId": "a", "appId": "b", "existingSecret": "c"}),
            at("appsFile.existingSecret", "apps"),
        ),
        "apps, appsFile.existingSecret: set only one of them",
    ),
    "a certificate without its key": (
        merged(MINIMAL, at("rabbitmq.tls", {"existingSecret": "tls", "certKey": "tls.crt"})),
        "rabbitmq.tls.certKey, rabbitmq.tls.keyKey:",
    ),
    "webhooks without a host": (
        merged(MINIMAL, at("webhooks.ingress.enabled", True)),
        "webhooks.host:",
    ),
    "a route without a Gateway": (
        merged(MINIMAL, at("webhooks", {"host": "a.example", "httpRoute": {"enabled": True}})),
        "webhooks.httpRoute.parentRefs:",
    ),
    "a minimum above the maximum": (
        merged(MINIMAL, at("autoscaling", {"kind": "hpa", "minReplicas": 5, "maxReplicas": 4})),
        "autoscaling.minReplicas: 5 is above autoscaling.maxReplicas, 4",
    ),
    "KEDA without the management API": (
        merged(MINIMAL, at("autoscaling.kind", "keda")),
        "autoscaling.keda.existingSecret:",
    ),
    "a topology without a cluster": (
        merged(MINIMAL, at("topologyOperator.enabled", True)),
        "topologyOperator.cluster:",
    ),
    "a secret in the environment": (
        merged(MINIMAL, {"extraEnv": [{"name": "DATABASE_URL", "value": "postgresql://…"}]}),
        "extraEnv: DATABASE_URL must come from a Secret",
    ),
    "headers for traces in the environment": (
        merged(MINIMAL, {"extraEnv": [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "a=b"}]}),
        "extraEnv: OTEL_EXPORTER_OTLP_HEADERS must come from a Secret",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictory_values_are_refused_by_name(case: str) -> None:
    values, words = CONTRADICTIONS[case]
    assert words in refusal(values)


def test_all_contradictions_are_listed_at_once() -> None:
    message = refusal({"database": {"engine": "sqlite"}, "autoscaling": {"kind": "hpa"}})
    for name in ("replicas", "autoscaling.kind", "rabbitmq.existingSecret", "realtimekit.appId"):
        assert f"- {name}:" in message


SETTINGS: Final = schema()["properties"]["settings"]["properties"]
PARSERS: Final = {variable.name: variable.parse for variable in all_variables()}


@pytest.mark.parametrize("name", [name for name, rule in SETTINGS.items() if "minimum" in rule])
def test_the_schema_has_the_bounds_of_the_worker(name: str) -> None:
    minimum, maximum = SETTINGS[name]["minimum"], SETTINGS[name]["maximum"]
    for value in (minimum, maximum):
        assert PARSERS[name](str(value)) == value
    for value in (minimum - 1, maximum + 1):
        with pytest.raises(ValueError, match="must be"):
            PARSERS[name](str(value))
        assert name in refusal(merged(MINIMAL, {"settings": {name: value}}))


@pytest.mark.parametrize("name", [name for name, rule in SETTINGS.items() if "enum" in rule])
def test_the_schema_has_the_choices_of_the_worker(name: str) -> None:
    for word in SETTINGS[name]["enum"]:
        PARSERS[name](str(word).lower())
    assert name in refusal(merged(MINIMAL, {"settings": {name: "nonsense"}}))
