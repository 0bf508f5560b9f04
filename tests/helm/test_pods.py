"""Pods: their rights, their input, and the parts that never change."""

import json
from ipaddress import ip_address, ip_network
from typing import Any, Final

import pytest
import yaml

from tests.helm.chart import (
    EXAMPLES,
    MINIMAL,
    MINIMAL_SQLITE,
    Manifest,
    Values,
    container,
    example,
    manifests,
    merged,
    of_kind,
    only,
    pod,
    workload,
)
from worker.settings.settings import Settings, all_variables
from worker.settings.variables import variables_of

SECRETS: Final = "/run/secrets/recording-worker"
EVERY_CREDENTIAL: Final = merged(
    MINIMAL,
    {
        "rabbitmq": {"tls": {"existingSecret": "broker-tls", "certKey": "c", "keyKey": "k"}},
        "database": {"tls": {"existingSecret": "postgres-tls", "certKey": "c", "keyKey": "k"}},
        "storageProfiles": {"existingSecret": "storage"},
        "tracing": {"existingSecret": "traces"},
        "apps": {"eu": {"accountId": "a", "appId": "b", "existingSecret": "eu"}},
    },
)


TARGETS: Final[dict[str, list[Values]]] = {
    "dns": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    "broker": [{"port": 5672}, {"port": 5671}],
    "database": [{"port": 5432}],
    "api": [{"port": 443}],
}
"""The targets of a worker and their ports, by default."""


def environment(found: list[Manifest]) -> dict[str, str]:
    """The variables of the worker's container, including those of the ConfigMap."""
    worker = container(found)
    # The archive's Secret becomes variables too, because the storage's libraries read them there.
    (source,) = [source for source in worker["envFrom"] if "configMapRef" in source]
    (settings,) = [
        config_map
        for config_map in of_kind(found, "ConfigMap")
        if config_map["metadata"]["name"] == source["configMapRef"]["name"]
    ]
    own: dict[str, str] = {variable["name"]: variable["value"] for variable in worker["env"]}
    return {**settings["data"], **own}


def mounted(found: list[Manifest]) -> dict[str, tuple[str, str]]:
    """Each file of a Secret that the worker can read: the Secret's name and the key in it."""
    (volume,) = [volume for volume in pod(found)["spec"]["volumes"] if volume["name"] == "secrets"]
    return {
        item["path"]: (source["secret"]["name"], item["key"])
        for source in volume["projected"]["sources"]
        for item in source["secret"]["items"]
    }


def test_every_credential_is_a_file_of_a_secret() -> None:
    assert mounted(manifests(EVERY_CREDENTIAL)) == {
        "amqp-url": ("broker", "amqp-url"),
        "amqp-tls/ca.crt": ("broker-tls", "ca.crt"),
        "amqp-tls/tls.crt": ("broker-tls", "c"),
        "amqp-tls/tls.key": ("broker-tls", "k"),
        "database-url": ("postgres", "database-url"),
        "database-tls/ca.crt": ("postgres-tls", "ca.crt"),
        "database-tls/tls.crt": ("postgres-tls", "c"),
        "database-tls/tls.key": ("postgres-tls", "k"),
        "api-token": ("api", "api-token"),
        "apps/eu/api-token": ("eu", "api-token"),
        "storage-profiles.json": ("storage", "storage-profiles.json"),
        "otlp-headers": ("traces", "otlp-headers"),
    }


def test_every_secret_setting_of_the_worker_is_read_from_a_file() -> None:
    variables = environment(manifests(EVERY_CREDENTIAL))
    secret = {variable.name for variable in variables_of(Settings).values() if variable.secret}
    assert secret & variables.keys() == set()
    assert {f"{name}_FILE" for name in secret} <= variables.keys()


def test_every_file_in_the_environment_is_mounted() -> None:
    found = manifests(EVERY_CREDENTIAL)
    named = {value for value in environment(found).values() if value.startswith("/run/")}
    available = {f"{SECRETS}/{path}" for path in mounted(found)}
    assert named <= available
    # The AMQP URL names its certificates itself, the apps file the tokens.
    rest = {path.removeprefix(f"{SECRETS}/").partition("/")[0] for path in available - named}
    assert rest == {"amqp-tls", "apps"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_credential_is_in_the_environment_or_in_a_configmap(name: str) -> None:
    found = manifests(example(name))
    variables = environment(found)
    for secret in (setting.name for setting in all_variables() if setting.secret):
        assert not variables.get(secret, "sqlite:").partition("sqlite:")[0]
    assert "secretKeyRef" not in json.dumps(found)
    secrets = [
        source["secretRef"]["name"]
        for source in container(found)["envFrom"]
        if "secretRef" in source
    ]
    archive = example(name).get("archive", {}).get("existingSecret")
    assert secrets == ([archive] if archive else [])
    assert of_kind(found, "Secret") == []


def test_each_of_several_apps_has_its_own_token_file() -> None:
    found = manifests(example("several-apps"))
    (settings,) = [
        config_map
        for config_map in of_kind(found, "ConfigMap")
        if "apps.json" in config_map["data"]
    ]
    apps = json.loads(settings["data"]["apps.json"])
    assert apps["eu"] == {
        "account_id": "0123456789abcdef0123456789abcdef",
        "app_id": "2f1b7c3e-6a51-4f0a-9d5e-0c8f1f6f9b01",
        "api_token_file": f"{SECRETS}/apps/eu/api-token",
    }
    assert apps["trials"]["follow_all"] is True
    assert apps["trials"]["api_budget"] == "300/300"
    assert mounted(found)["apps/trials/api-token"] == ("realtimekit-trials", "token")
    assert environment(found)["WORKER_APPS_FILE"] == "/etc/recording-worker/apps.json"


def test_a_large_number_is_written_in_digits() -> None:
    settings = {"WORKER_MAX_COMMAND_BYTES": 134_217_728, "WORKER_SWEEP_INTERVAL_SECONDS": 0.05}
    variables = environment(manifests(merged(MINIMAL, {"settings": settings})))
    assert variables["WORKER_MAX_COMMAND_BYTES"] == "134217728"
    assert variables["WORKER_SWEEP_INTERVAL_SECONDS"] == "0.05"


def annotation(values: Values) -> str:
    checksum: str = pod(manifests(values))["metadata"]["annotations"]["checksum/settings"]
    return checksum


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"WORKER_PREFETCH": 7}},
        {"webhooks": {"host": "recordings.example.com"}},
        {"apps": {"eu": {"accountId": "a", "appId": "b", "existingSecret": "eu"}}},
    ],
)
def test_pods_are_replaced_when_a_setting_changes(change: Values) -> None:
    assert annotation(MINIMAL) != annotation(merged(MINIMAL, change))
    assert annotation(MINIMAL) == annotation(merged(MINIMAL, {"replicas": 3}))


@pytest.mark.parametrize("values", [MINIMAL, MINIMAL_SQLITE])
def test_immutable_fields_do_not_depend_on_values(values: Values) -> None:
    """A selector and a claim's labels are immutable: an upgrade that touches them fails."""
    changed = {
        "commonLabels": {"team": "meetings"},
        "podLabels": {"a": "b"},
        "image": {"tag": "9.9.9"},
    }
    before, after = (workload(manifests(variant)) for variant in (values, merged(values, changed)))
    fixed = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
    assert before["spec"]["selector"] == after["spec"]["selector"]
    assert before["spec"]["selector"]["matchLabels"].keys() == fixed
    assert before["spec"].get("volumeClaimTemplates") == after["spec"].get("volumeClaimTemplates")
    for claim in before["spec"].get("volumeClaimTemplates", []):
        assert claim["metadata"]["labels"].keys() == fixed


def test_the_service_does_not_select_the_test_pod() -> None:
    found = manifests(MINIMAL)
    selector = only(found, "Service")["spec"]["selector"]
    assert selector.items() <= pod(found)["metadata"]["labels"].items()
    assert not selector.items() <= only(found, "Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [MINIMAL, MINIMAL_SQLITE])
def test_a_pod_has_no_privileges(values: Values) -> None:
    found = manifests(values)
    for spec in (pod(found)["spec"], only(found, "Pod")["spec"]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container_spec in spec["containers"]:
            assert container_spec["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container_spec["resources"]["requests"].keys() == {"cpu", "memory"}
    assert only(found, "ServiceAccount")["automountServiceAccountToken"] is False


@pytest.mark.parametrize(
    ("values", "grace"),
    [
        (MINIMAL, 50),
        (merged(MINIMAL, {"settings": {"WORKER_SHUTDOWN_SECONDS": 90}}), 110),
        (merged(MINIMAL, {"settings": {"WORKER_SHUTDOWN_SECONDS": 0.5}}), 21),
        (merged(MINIMAL, {"settings": {"WORKER_SHUTDOWN_DELAY_SECONDS": 60}}), 105),
        (merged(MINIMAL, {"shutdownDelaySeconds": 12.5}), 58),
        (MINIMAL_SQLITE, 45),
    ],
)
def test_the_grace_period_is_longer_than_the_shutdown(values: Values, grace: int) -> None:
    assert pod(manifests(values))["spec"]["terminationGracePeriodSeconds"] == grace


@pytest.mark.parametrize(("values", "seconds"), [(MINIMAL, "5"), (MINIMAL_SQLITE, "0")])
def test_a_stopping_pod_answers_webhooks_until_others_get_them(
    values: Values, seconds: str
) -> None:
    assert environment(manifests(values))["WORKER_SHUTDOWN_DELAY_SECONDS"] == seconds


def test_replicas_are_not_set_with_autoscaling() -> None:
    scaled = merged(MINIMAL, {"autoscaling": {"kind": "hpa"}})
    assert workload(manifests(MINIMAL))["spec"]["replicas"] == 2
    assert "replicas" not in workload(manifests(scaled))["spec"]


def test_commands_in_progress_count_as_load() -> None:
    values = {"autoscaling": {"kind": "keda", "keda": {"existingSecret": "management"}}}
    prefixed = {"settings": {"WORKER_NAME_PREFIX": "staging"}}
    (trigger,) = only(manifests(merged(MINIMAL, values, prefixed)), "ScaledObject")["spec"][
        "triggers"
    ]
    assert trigger["metadata"]["protocol"] == "http"
    assert trigger["metadata"]["excludeUnacknowledged"] == "false"
    assert trigger["metadata"]["queueName"] == "staging.commands"


@pytest.mark.parametrize(
    "exposure",
    [
        {"ingress": {"enabled": True}},
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    ],
)
def test_only_the_webhook_path_is_exposed(exposure: dict[str, Any]) -> None:
    values = merged(MINIMAL, {"webhooks": {"host": "recordings.example.com", **exposure}})
    found = manifests(values)
    kind = "Ingress" if "ingress" in exposure else "HTTPRoute"
    text = yaml.safe_dump(only(found, kind)["spec"])
    assert "/webhooks/realtimekit" in text
    assert "/metrics" not in text
    assert "Prefix" not in text
    assert environment(found)["WORKER_PUBLIC_URL"] == "https://recordings.example.com"


def test_no_peer_may_connect_by_default() -> None:
    policy = only(manifests(merged(MINIMAL, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []


def test_egress_is_limited_to_dns_broker_database_and_api() -> None:
    peers = {name: [{"podSelector": {"matchLabels": {"is": name}}}] for name in TARGETS}
    policy = {"enabled": True, **{name: {"to": peer} for name, peer in peers.items()}}
    found = manifests(merged(MINIMAL, {"networkPolicy": policy}))
    spec = only(found, "NetworkPolicy")["spec"]
    assert [(rule["to"], rule["ports"]) for rule in spec["egress"]] == [
        (peers[name], ports) for name, ports in TARGETS.items()
    ]
    for labels in (pod(found)["metadata"]["labels"], only(found, "Pod")["metadata"]["labels"]):
        assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_ingress_is_limited_to_scrapes_and_webhooks_at_one_port() -> None:
    scraper, controller = ({"podSelector": {"matchLabels": {"is": name}}} for name in "ab")
    policy = {"enabled": True, "scrapeFrom": [scraper], "webhooksFrom": [controller]}
    found = manifests(merged(MINIMAL, {"networkPolicy": policy}))
    assert only(found, "NetworkPolicy")["spec"]["ingress"] == [
        {"from": [scraper, controller], "ports": [{"port": "http"}]}
    ]
    assert [port["name"] for port in container(found)["ports"]] == ["http"]


def test_by_default_names_are_resolved_by_the_cluster_or_by_a_cache_on_the_node() -> None:
    spec = only(manifests(merged(MINIMAL, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")
    (dns,) = [rule for rule in spec["spec"]["egress"] if rule["ports"] == TARGETS["dns"]]
    pods, node = dns["to"]
    (label,) = pods["podSelector"]["matchExpressions"]
    assert (label["key"], label["values"]) == ("k8s-app", ["kube-dns", "node-local-dns"])
    for address in ("169.254.20.10", "169.254.25.10"):  # NodeLocal DNSCache, and Kubespray's
        assert ip_address(address) in ip_network(node["ipBlock"]["cidr"])


def test_by_default_the_api_is_outside_the_cluster() -> None:
    spec = only(manifests(merged(MINIMAL, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")
    (api,) = [rule for rule in spec["spec"]["egress"] if rule["ports"] == TARGETS["api"]]
    blocks = [peer["ipBlock"] for peer in api["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    inside = [ip_network(network) for block in blocks for network in block["except"]]
    for address in ("10.96.0.1", "172.20.0.1", "192.168.1.1", "169.254.169.254", "fd00::1"):
        assert any(ip_address(address) in network for network in inside)


def test_sqlite_needs_no_egress_to_a_database() -> None:
    values = {"networkPolicy": {"enabled": True}}
    for minimal, expected in ((MINIMAL, True), (MINIMAL_SQLITE, False)):
        policy = only(manifests(merged(minimal, values)), "NetworkPolicy")
        ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
        assert (5432 in ports) is expected


def test_a_pod_that_is_not_ready_does_not_block_a_drain() -> None:
    policy = "unhealthyPodEvictionPolicy"
    assert only(manifests(MINIMAL), "PodDisruptionBudget")["spec"][policy] == "AlwaysAllow"
    older = only(manifests(MINIMAL, kubernetes="1.25"), "PodDisruptionBudget")
    assert policy not in older["spec"]
