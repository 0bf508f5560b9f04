"""What is wrong with the values is told by name, and nothing is rendered."""

from typing import Any, Final

import pytest

from tests.helm.chart import LEAST, LEAST_SQLITE, Values, merged, refusal
from tests.helm.documents import schema
from worker.settings.settings import Settings
from worker.settings.variables import variables_of


def at(path: str, value: Any) -> Values:
    """A value by its path, such as `database.engine`."""
    first, _, rest = path.partition(".")
    return {first: at(rest, value) if rest else value}


SPOILT: Final[dict[str, Any]] = {
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
    "settings.LOG_LEVEL": "loud",
    "service.port": 80,
    "webhooks.host": "https://example.com",
    "autoscaling.kind": "vpa",
    "autoscaling.minReplicas": 0,
    "podDisruptionBudget.maxUnavailable": 0,
    "networkPolicy.broker.ports": [],
    "networkPolicy.scrapeFrom": [{"from": "anywhere"}],
    "metrics.serviceMonitor.interval": "often",
    "probes.liveness.path": "/",
    "extraEnv": {"TZ": "UTC"},
}


@pytest.mark.parametrize("path", SPOILT)
def test_a_wrong_value_is_refused_by_its_name(path: str) -> None:
    told = refusal(merged(LEAST, at(path, SPOILT[path])))
    assert path.rpartition(".")[2] in told
    assert "/".join(path.split(".")[:-1]) in told


TOGETHER: Final[dict[str, tuple[Values, str]]] = {
    "more than one replica on SQLite": (
        merged(LEAST_SQLITE, {"replicas": 2}),
        "replicas: an SQLite file serves one replica, not 2",
    ),
    "SQLite that is scaled": (
        merged(LEAST_SQLITE, {"autoscaling": {"kind": "hpa"}}),
        "autoscaling.kind: an SQLite file serves one replica",
    ),
    "no database": (merged(LEAST, at("database.existingSecret", "")), "database.existingSecret:"),
    "no broker": (merged(LEAST, at("rabbitmq.existingSecret", "")), "rabbitmq.existingSecret:"),
    "no app id": (merged(LEAST, at("realtimekit.appId", "")), "realtimekit.appId:"),
    "no token": (
        merged(LEAST, at("realtimekit.existingSecret", "")),
        "realtimekit.existingSecret:",
    ),
    "apps twice": (
        merged(
            LEAST,
            at("apps.eu", {"accountId": "a", "appId": "b", "existingSecret": "c"}),
            at("appsFile.existingSecret", "apps"),
        ),
        "apps, appsFile.existingSecret: set only one of them",
    ),
    "a certificate without its key": (
        merged(LEAST, at("rabbitmq.tls", {"existingSecret": "tls", "certKey": "tls.crt"})),
        "rabbitmq.tls.certKey, rabbitmq.tls.keyKey:",
    ),
    "webhooks from nowhere": (
        merged(LEAST, at("webhooks.ingress.enabled", True)),
        "webhooks.host:",
    ),
    "a route without a Gateway": (
        merged(LEAST, at("webhooks", {"host": "a.example", "httpRoute": {"enabled": True}})),
        "webhooks.httpRoute.parentRefs:",
    ),
    "fewer than the fewest": (
        merged(LEAST, at("autoscaling", {"kind": "hpa", "minReplicas": 5, "maxReplicas": 4})),
        "autoscaling.minReplicas: 5 is above autoscaling.maxReplicas, 4",
    ),
    "KEDA without the broker": (
        merged(LEAST, at("autoscaling.kind", "keda")),
        "autoscaling.keda.existingSecret:",
    ),
    "a topology without a cluster": (
        merged(LEAST, at("topologyOperator.enabled", True)),
        "topologyOperator.cluster:",
    ),
    "a secret in the environment": (
        merged(LEAST, {"extraEnv": [{"name": "DATABASE_URL", "value": "postgresql://…"}]}),
        "extraEnv: DATABASE_URL must come from a Secret",
    ),
    "headers for traces in the environment": (
        merged(LEAST, {"extraEnv": [{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "a=b"}]}),
        "extraEnv: OTEL_EXPORTER_OTLP_HEADERS must come from a Secret",
    ),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_values_that_do_not_go_together_are_told(case: str) -> None:
    values, words = TOGETHER[case]
    assert words in refusal(values)


def test_all_that_does_not_go_together_is_told_at_once() -> None:
    told = refusal({"database": {"engine": "sqlite"}, "autoscaling": {"kind": "hpa"}})
    for name in ("replicas", "autoscaling.kind", "rabbitmq.existingSecret", "realtimekit.appId"):
        assert f"- {name}:" in told


SETTINGS: Final = schema()["properties"]["settings"]["properties"]
PARSERS: Final = {each.name: each.parse for each in variables_of(Settings).values()}


@pytest.mark.parametrize("name", [name for name, it in SETTINGS.items() if "minimum" in it])
def test_a_setting_has_the_bounds_of_the_worker(name: str) -> None:
    least, most = SETTINGS[name]["minimum"], SETTINGS[name]["maximum"]
    for value in (least, most):
        assert PARSERS[name](str(value)) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ValueError, match="must be"):
            PARSERS[name](str(value))
        assert name in refusal(merged(LEAST, {"settings": {name: value}}))


@pytest.mark.parametrize("name", [name for name, it in SETTINGS.items() if "enum" in it])
def test_a_setting_has_the_words_of_the_worker(name: str) -> None:
    for word in SETTINGS[name]["enum"]:
        PARSERS[name](str(word).lower())
    assert name in refusal(merged(LEAST, {"settings": {name: "nonsense"}}))
