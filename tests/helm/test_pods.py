"""What the pods may, what they see, and what of them never changes."""

import json
from ipaddress import ip_address, ip_network
from typing import Any, Final

import pytest
import yaml

from tests.helm.chart import (
    EXAMPLES,
    LEAST,
    LEAST_SQLITE,
    Manifest,
    Values,
    container,
    example,
    manifests,
    merged,
    of_kind,
    only,
    pod,
    texts,
    workload,
)
from worker.settings.documentation import documented_settings

SECRETS: Final = "/run/secrets/recording-worker"
EVERY_CREDENTIAL: Final = merged(
    LEAST,
    {
        "rabbitmq": {"tls": {"existingSecret": "broker-tls", "certKey": "c", "keyKey": "k"}},
        "database": {"tls": {"existingSecret": "postgres-tls", "certKey": "c", "keyKey": "k"}},
        "storageProfiles": {"existingSecret": "storage"},
        "tracing": {"existingSecret": "traces"},
        "apps": {"eu": {"accountId": "a", "appId": "b", "existingSecret": "eu"}},
    },
)


REACHED: Final[dict[str, list[Values]]] = {
    "dns": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    "broker": [{"port": 5672}, {"port": 5671}],
    "database": [{"port": 5432}],
    "api": [{"port": 443}],
}
"""What a worker talks to, and at which ports, with a network policy as it comes."""


def environment(found: list[Manifest]) -> dict[str, str]:
    """What the worker's container gets, the ConfigMap's part included."""
    worker = container(found)
    (source,) = worker["envFrom"]
    (settings,) = [
        one
        for one in of_kind(found, "ConfigMap")
        if one["metadata"]["name"] == source["configMapRef"]["name"]
    ]
    own: dict[str, str] = {one["name"]: one["value"] for one in worker["env"]}
    return {**settings["data"], **own}


def mounted(found: list[Manifest]) -> dict[str, tuple[str, str]]:
    """Each file of a Secret that the worker sees: the Secret's name and the key in it."""
    (volume,) = [one for one in pod(found)["spec"]["volumes"] if one["name"] == "secrets"]
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


def test_every_setting_that_is_a_secret_is_read_from_a_file() -> None:
    variables = environment(manifests(EVERY_CREDENTIAL))
    secret = {row.variable for row in documented_settings() if row.secret}
    assert secret & variables.keys() == set()
    assert {f"{name}_FILE" for name in secret} <= variables.keys()


def test_every_file_that_the_environment_names_is_there() -> None:
    found = manifests(EVERY_CREDENTIAL)
    named = {value for value in environment(found).values() if value.startswith("/run/")}
    there = {f"{SECRETS}/{path}" for path in mounted(found)}
    assert named <= there
    # The AMQP URL names its certificates itself, the apps file the tokens.
    rest = {path.removeprefix(f"{SECRETS}/").partition("/")[0] for path in there - named}
    assert rest == {"amqp-tls", "apps"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_credential_is_in_the_environment_or_in_a_configmap(name: str) -> None:
    found = manifests(example(name))
    variables = environment(found)
    for secret in (row.variable for row in documented_settings() if row.secret):
        assert not variables.get(secret, "sqlite:").partition("sqlite:")[0]
    assert "secretKeyRef" not in json.dumps(found)
    assert "secretRef" not in json.dumps(found)
    assert of_kind(found, "Secret") == []


def test_several_apps_each_have_the_file_of_their_own_token() -> None:
    found = manifests(example("several-apps"))
    (settings,) = [one for one in of_kind(found, "ConfigMap") if "apps.json" in one["data"]]
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


def test_a_large_number_reaches_the_worker_in_digits() -> None:
    settings = {"WORKER_MAX_COMMAND_BYTES": 134_217_728, "WORKER_SWEEP_INTERVAL_SECONDS": 0.05}
    variables = environment(manifests(merged(LEAST, {"settings": settings})))
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
    assert annotation(LEAST) != annotation(merged(LEAST, change))
    assert annotation(LEAST) == annotation(merged(LEAST, {"replicas": 3}))


@pytest.mark.parametrize("values", [LEAST, LEAST_SQLITE])
def test_what_cannot_change_has_nothing_that_changes(values: Values) -> None:
    """A selector and a claim's labels are immutable: an upgrade that touches them fails."""
    changed = {
        "commonLabels": {"team": "meetings"},
        "podLabels": {"a": "b"},
        "image": {"tag": "9.9.9"},
    }
    before, after = (workload(manifests(each)) for each in (values, merged(values, changed)))
    fixed = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
    assert before["spec"]["selector"] == after["spec"]["selector"]
    assert before["spec"]["selector"]["matchLabels"].keys() == fixed
    assert before["spec"].get("volumeClaimTemplates") == after["spec"].get("volumeClaimTemplates")
    for claim in before["spec"].get("volumeClaimTemplates", []):
        assert claim["metadata"]["labels"].keys() == fixed


def test_the_service_does_not_lead_to_the_test_pod() -> None:
    found = manifests(LEAST)
    selector = only(found, "Service")["spec"]["selector"]
    assert selector.items() <= pod(found)["metadata"]["labels"].items()
    assert not selector.items() <= only(found, "Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [LEAST, LEAST_SQLITE])
def test_a_pod_may_nothing(values: Values) -> None:
    found = manifests(values)
    for spec in (pod(found)["spec"], only(found, "Pod")["spec"]):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for one in spec["containers"]:
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert one["resources"]["requests"].keys() == {"cpu", "memory"}
    assert only(found, "ServiceAccount")["automountServiceAccountToken"] is False


@pytest.mark.parametrize(("seconds", "grace"), [(None, 45), (90, 105), (0.5, 16)])
def test_kubernetes_waits_longer_than_the_worker_drains(seconds: Any, grace: int) -> None:
    settings = {} if seconds is None else {"WORKER_SHUTDOWN_SECONDS": seconds}
    found = manifests(merged(LEAST, {"settings": settings}))
    assert pod(found)["spec"]["terminationGracePeriodSeconds"] == grace


def test_replicas_are_left_to_whatever_scales_them() -> None:
    scaled = merged(LEAST, {"autoscaling": {"kind": "hpa"}})
    assert workload(manifests(LEAST))["spec"]["replicas"] == 2
    assert "replicas" not in workload(manifests(scaled))["spec"]


def test_commands_in_work_count_as_load() -> None:
    values = {"autoscaling": {"kind": "keda", "keda": {"existingSecret": "management"}}}
    prefixed = {"settings": {"WORKER_NAME_PREFIX": "staging"}}
    (trigger,) = only(manifests(merged(LEAST, values, prefixed)), "ScaledObject")["spec"][
        "triggers"
    ]
    assert trigger["metadata"]["protocol"] == "http"
    assert trigger["metadata"]["excludeUnacknowledged"] == "false"
    assert trigger["metadata"]["queueName"] == "staging.commands"


@pytest.mark.parametrize(
    "door",
    [
        {"ingress": {"enabled": True}},
        {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    ],
)
def test_only_webhooks_come_in_from_outside(door: dict[str, Any]) -> None:
    values = merged(LEAST, {"webhooks": {"host": "recordings.example.com", **door}})
    found = manifests(values)
    kind = "Ingress" if "ingress" in door else "HTTPRoute"
    text = yaml.safe_dump(only(found, kind)["spec"])
    assert "/webhooks/realtimekit" in text
    assert "/metrics" not in text
    assert "Prefix" not in text
    assert environment(found)["WORKER_PUBLIC_URL"] == "https://recordings.example.com"


def test_nobody_comes_in_who_is_not_named() -> None:
    policy = only(manifests(merged(LEAST, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert policy["spec"]["ingress"] == []


def test_out_goes_what_is_for_names_the_broker_the_database_and_the_api_and_nothing_else() -> None:
    peers = {name: [{"podSelector": {"matchLabels": {"is": name}}}] for name in REACHED}
    policy = {"enabled": True, **{name: {"to": peer} for name, peer in peers.items()}}
    found = manifests(merged(LEAST, {"networkPolicy": policy}))
    spec = only(found, "NetworkPolicy")["spec"]
    assert [(rule["to"], rule["ports"]) for rule in spec["egress"]] == [
        (peers[name], ports) for name, ports in REACHED.items()
    ]
    for labels in (pod(found)["metadata"]["labels"], only(found, "Pod")["metadata"]["labels"]):
        assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_in_come_scrapes_and_webhooks_at_the_one_port_and_nothing_else() -> None:
    scraper, controller = ({"podSelector": {"matchLabels": {"is": name}}} for name in "ab")
    policy = {"enabled": True, "scrapeFrom": [scraper], "webhooksFrom": [controller]}
    found = manifests(merged(LEAST, {"networkPolicy": policy}))
    assert only(found, "NetworkPolicy")["spec"]["ingress"] == [
        {"from": [scraper, controller], "ports": [{"port": "http"}]}
    ]
    assert [one["name"] for one in container(found)["ports"]] == ["http"]


def test_unless_told_otherwise_the_api_is_looked_for_outside_the_cluster_only() -> None:
    spec = only(manifests(merged(LEAST, {"networkPolicy": {"enabled": True}})), "NetworkPolicy")
    (api,) = [one for one in spec["spec"]["egress"] if one["ports"] == REACHED["api"]]
    blocks = [one["ipBlock"] for one in api["to"]]
    assert [one["cidr"] for one in blocks] == ["0.0.0.0/0", "::/0"]
    inside = [ip_network(each) for one in blocks for each in one["except"]]
    for address in ("10.96.0.1", "172.20.0.1", "192.168.1.1", "169.254.169.254", "fd00::1"):
        assert any(ip_address(address) in network for network in inside)


def test_on_sqlite_nothing_goes_out_to_a_database() -> None:
    values = {"networkPolicy": {"enabled": True}}
    for least, expected in ((LEAST, True), (LEAST_SQLITE, False)):
        policy = only(manifests(merged(least, values)), "NetworkPolicy")
        ports = [one["port"] for rule in policy["spec"]["egress"] for one in rule["ports"]]
        assert (5432 in ports) is expected


def test_an_unready_pod_does_not_keep_a_node_from_being_drained() -> None:
    policy = "unhealthyPodEvictionPolicy"
    assert only(manifests(LEAST), "PodDisruptionBudget")["spec"][policy] == "AlwaysAllow"
    older = only(manifests(LEAST, kubernetes="1.25"), "PodDisruptionBudget")
    assert policy not in older["spec"]


@pytest.mark.parametrize("values", [LEAST, LEAST_SQLITE])
def test_the_notes_say_what_to_do_next(values: Values) -> None:
    notes = texts(values)["NOTES.txt"]
    kind = workload(manifests(values))["kind"].lower()
    assert f"rollout status {kind}/rw-recording-worker" in notes
    assert "helm -n meetings test rw --logs" in notes
    assert "\n\n\n" not in notes
