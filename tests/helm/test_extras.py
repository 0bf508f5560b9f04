"""Other containers, objects and files, and egress from the cluster."""

from typing import Any, Final

import pytest

from tests.helm.chart import (
    MINIMAL,
    Manifest,
    Values,
    container,
    example,
    manifests,
    merged,
    of_kind,
    only,
    pod,
    refusal,
)
from tests.helm.kubernetes_schemas import faults, versions
from tests.helm.test_pods import environment, mounted

FILES: Final[Values] = {
    "realtimekit": {"existingSecret": "", "tokenFile": "/mnt/api-token"},
    "rabbitmq": {"existingSecret": "", "urlFile": "/mnt/amqp-url"},
    "database": {"existingSecret": "", "urlFile": "/mnt/database-url"},
}


def test_credentials_from_files_need_no_secret() -> None:
    found = manifests(merged(MINIMAL, FILES))
    variables = environment(found)
    assert variables["AMQP_URL_FILE"] == "/mnt/amqp-url"
    assert variables["DATABASE_URL_FILE"] == "/mnt/database-url"
    assert variables["REALTIMEKIT_API_TOKEN_FILE"] == "/mnt/api-token"  # noqa: S105
    for spec in (pod(found)["spec"], only(found, "Pod")["spec"]):
        assert [volume["name"] for volume in spec["volumes"]] == ["tmp"]
        assert [mount["name"] for mount in spec["containers"][0]["volumeMounts"]] == ["tmp"]


def test_files_and_secrets_can_be_mixed() -> None:
    mixed = {
        "database": FILES["database"],
        "storageProfiles": {"file": "/mnt/profiles.json"},
        "tracing": {"headersFile": "/mnt/headers"},
        "apps": {"eu": {"accountId": "a", "appId": "b", "tokenFile": "/mnt/eu"}},
    }
    found = manifests(merged(MINIMAL, mixed))
    assert mounted(found).keys() == {"amqp-url", "api-token"}
    variables = environment(found)
    assert variables["WORKER_STORAGE_PROFILES_FILE"] == "/mnt/profiles.json"
    assert variables["OTEL_EXPORTER_OTLP_HEADERS_FILE"] == "/mnt/headers"
    (apps,) = [
        manifest for manifest in of_kind(found, "ConfigMap") if "apps.json" in manifest["data"]
    ]
    assert '"api_token_file": "/mnt/eu"' in apps["data"]["apps.json"]


def test_an_apps_file_needs_no_plain_app() -> None:
    none = {"realtimekit": {"accountId": "", "appId": "", "existingSecret": ""}}
    found = manifests(merged(MINIMAL, none, {"appsFile": {"file": "/mnt/apps.json"}}))
    assert environment(found)["WORKER_APPS_FILE"] == "/mnt/apps.json"


@pytest.mark.parametrize(
    ("name", "key"),
    [("rabbitmq", "urlFile"), ("database", "urlFile"), ("realtimekit", "tokenFile")],
)
def test_a_credential_has_one_source(name: str, key: str) -> None:
    two_sources = merged(MINIMAL, {name: {key: "/mnt/file"}})
    assert f"{name}.existingSecret, {name}.{key}: set only one" in refusal(two_sources)
    relative = merged(MINIMAL, {name: {key: "file", "existingSecret": ""}})
    assert key in refusal(relative)


def test_each_app_has_one_token() -> None:
    app = {"accountId": "a", "appId": "b"}
    assert "apps.eu.existingSecret: name" in refusal(merged(MINIMAL, {"apps": {"eu": app}}))
    two_tokens = {**app, "existingSecret": "eu", "tokenFile": "/mnt/eu"}
    assert "apps.eu.existingSecret, apps.eu.tokenFile: set" in refusal(
        merged(MINIMAL, {"apps": {"eu": two_tokens}})
    )


def test_init_containers_and_sidecars_run_with_the_worker() -> None:
    others = {
        "initContainers": [
            {"name": "tunnel", "image": "tunnel:1", "restartPolicy": "Always"},
            {"name": "wait", "image": '{{ include "recording-worker.image" . }}'},
        ],
        "sidecars": [{"name": "agent", "image": "agent:{{ .Chart.AppVersion }}"}],
    }
    found = manifests(merged(MINIMAL, others))
    assert [fault for manifest in found for fault in faults(manifest, versions()[-1])] == []
    spec = pod(found)["spec"]
    assert [each["name"] for each in spec["containers"]] == ["worker", "agent"]
    assert spec["containers"][1]["image"] == f"agent:{container(found)['image'].split(':')[1]}"
    assert spec["initContainers"][1]["image"] == container(found)["image"]
    check = only(found, "Pod")["spec"]
    assert [each["name"] for each in check["initContainers"]] == ["tunnel", "wait"]
    assert len(check["containers"]) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sidecars": [{"name": "worker", "image": "a"}]}, "the name worker is taken"),
        ({"initContainers": [{"name": "check", "image": "a"}]}, "the name check is taken"),
        ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, "the name tmp is taken"),
        ({"dnsPolicy": "None"}, "dnsConfig.nameservers: list at least one"),
        (
            {"caBundle": {"existingConfigMap": "a", "existingSecret": "b"}},
            "caBundle.existingConfigMap, caBundle.existingSecret: set only one",
        ),
        (
            {"proxy": {"url": "http://a:1"}, "settings": {"HTTPS_PROXY": "http://b:1"}},
            "settings.HTTPS_PROXY: a value sets it too",
        ),
        ({"proxy": {"url": "http://user:password@proxy:3128"}}, "url"),
        ({"settings": {"HTTPS_PROXY": "http://user:password@proxy:3128"}}, "HTTPS_PROXY"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(values: Values, words: str) -> None:
    assert words in refusal(merged(MINIMAL, values))


def test_other_objects_are_rendered_as_templates() -> None:
    text = "{{ if .Values.enabled }}apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n{{ end }}"
    about = {"name": '{{ include "recording-worker.fullname" . }}-more'}
    more = {"apiVersion": "v1", "kind": "Secret", "metadata": about, "immutable": True}
    found = manifests(merged(MINIMAL, {"extraManifests": [text, more]}))
    names = {secret["metadata"]["name"] for secret in of_kind(found, "Secret")}
    assert names == {"a", "rw-recording-worker-more"}


def egress(values: Values) -> list[dict[str, Any]]:
    """The egress rules of the NetworkPolicy."""
    rules: list[dict[str, Any]] = only(manifests(values), "NetworkPolicy")["spec"]["egress"]
    return rules


@pytest.mark.parametrize(
    ("way", "port"),
    [
        ({"proxy": {"url": "http://proxy.example.com:3128"}}, 3128),
        ({"proxy": {"url": "http://proxy.example.com"}}, 80),
        ({"proxy": {"url": "https://proxy.example.com/"}}, 443),
        ({"proxy": {"url": "http://[fd00::1]:3128/"}}, 3128),
        ({"settings": {"HTTPS_PROXY": "proxy:8888"}}, 8888),
        ({"settings": {"ALL_PROXY": "https://proxy:8443"}}, 8443),
    ],
)
def test_with_a_proxy_the_worker_may_not_reach_the_internet(way: Values, port: int) -> None:
    rules = egress(merged(MINIMAL, way, {"networkPolicy": {"enabled": True}}))
    assert rules[-1] == {"ports": [{"port": port}]}
    assert {"port": 443} not in [each for rule in rules[:-1] for each in rule["ports"]]
    peer = [{"ipBlock": {"cidr": "10.1.2.3/32"}}]
    narrow = merged(MINIMAL, way, {"networkPolicy": {"enabled": True, "proxy": {"to": peer}}})
    assert egress(narrow)[-1] == {"ports": [{"port": port}], "to": peer}


def test_the_port_of_a_proxy_in_a_secret_can_be_named() -> None:
    secret = {"secretKeyRef": {"name": "proxy", "key": "url"}}
    values = {
        "extraEnv": [{"name": "HTTPS_PROXY", "valueFrom": secret}],
        "networkPolicy": {"enabled": True, "proxy": {"ports": [3128]}},
    }
    assert egress(merged(MINIMAL, values))[-1] == {"ports": [{"port": 3128}]}


def test_the_proxy_and_its_exceptions_are_settings() -> None:
    values = {"proxy": {"url": "http://proxy:3128", "noProxy": [".svc", "10.0.0.0/8"]}}
    variables = environment(manifests(merged(MINIMAL, values)))
    assert variables["HTTPS_PROXY"] == "http://proxy:3128"
    assert variables["NO_PROXY"] == ".svc,10.0.0.0/8"


@pytest.mark.parametrize(
    ("bundle", "source"),
    [
        ({"existingConfigMap": "ca"}, {"configMap": {"name": "ca"}}),
        ({"existingSecret": "ca", "key": "x"}, {"secret": {"secretName": "ca"}}),
    ],
)
def test_the_bundle_of_authorities_is_mounted(bundle: Values, source: Manifest) -> None:
    found = manifests(merged(MINIMAL, {"caBundle": bundle}))
    (volume,) = [each for each in pod(found)["spec"]["volumes"] if each["name"] == "ca-bundle"]
    (kind,) = source
    items = [{"key": bundle.get("key", "ca-bundle.crt"), "path": "ca.crt"}]
    assert volume[kind] == {**source[kind], "items": items}
    (mount,) = [each for each in container(found)["volumeMounts"] if each["name"] == "ca-bundle"]
    assert environment(found)["SSL_CERT_FILE"] == f"{mount['mountPath']}/ca.crt"


def test_on_openshift_the_cluster_picks_the_user() -> None:
    found = manifests(example("openshift"))
    for spec in (pod(found)["spec"], only(found, "Pod")["spec"]):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for each in spec["containers"]:
            assert not each["securityContext"].keys() & {"runAsUser", "runAsGroup"}
