"""The console as a Deployment: its settings and rights, and that it runs."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.helm.chart import (
    MINIMAL,
    MINIMAL_SQLITE,
    Manifest,
    Values,
    manifests,
    merged,
    of_kind,
    refusal,
)
from tests.helm.test_manifests import SWITCHES

ON: Final = merged(MINIMAL, SWITCHES["console"])


def of_console(found: list[Manifest], kind: str) -> Manifest:
    (manifest,) = [
        candidate
        for candidate in of_kind(found, kind)
        if candidate["metadata"]["labels"].get("app.kubernetes.io/component") == "console"
    ]
    return manifest


def spec_of(found: list[Manifest]) -> Manifest:
    spec: Manifest = of_console(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def secrets_of(spec: Manifest) -> dict[str, str]:
    """The path of each mounted key, and its Secret."""
    return {
        item["path"]: source["secret"]["name"]
        for volume in spec["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }


def test_the_console_is_off_by_default() -> None:
    named = [manifest["metadata"]["name"] for manifest in manifests(MINIMAL)]
    assert not [name for name in named if "console" in name]


def test_the_console_gets_its_own_credentials_and_neither_the_api_token_nor_the_workers() -> None:
    spec = spec_of(manifests(ON))
    own = spec_of(manifests(merged(ON, {"console": {"database": {"existingSecret": "reader"}}})))

    assert secrets_of(spec) == {
        "console-token": "console",
        "amqp-url": "operator",
        "database-url": "postgres",
    }
    assert secrets_of(own)["database-url"] == "reader"
    assert "REALTIMEKIT_API_TOKEN" not in str(spec)


def test_the_console_asks_the_workers_service() -> None:
    found = manifests(merged(ON, {"service": {"port": 9000}}))
    (container,) = spec_of(found)["containers"]
    (service,) = [
        manifest
        for manifest in of_kind(found, "Service")
        if manifest["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"
    ]

    command = container["command"]
    assert command[command.index("--worker-url") + 1] == (
        f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    )


def test_the_services_select_either_workers_or_the_console() -> None:
    found = manifests(ON)
    pods = [deployment["spec"]["template"] for deployment in of_kind(found, "Deployment")]

    def selected(service: Manifest) -> list[str]:
        labels = service["spec"]["selector"].items()
        return [
            pod["spec"]["containers"][0]["name"]
            for pod in pods
            if labels <= pod["metadata"]["labels"].items()
        ]

    assert sorted(map(selected, of_kind(found, "Service"))) == [["console"], ["worker"]]


def policies(**policy: Any) -> Iterator[Manifest]:
    found = manifests(merged(ON, {"networkPolicy": {"enabled": True, **policy}}))
    yield of_console(found, "NetworkPolicy")
    for network_policy in of_kind(found, "NetworkPolicy"):
        if "matchExpressions" in network_policy["spec"]["podSelector"]:
            yield network_policy


def test_only_the_named_peers_may_open_the_console_and_it_reaches_no_other_host() -> None:
    peer = {"podSelector": {"matchLabels": {"app": "ingress"}}}
    shut, _ = policies()
    own, workers = policies(consoleFrom=[peer])

    assert shut["spec"]["ingress"] == []
    assert own["spec"]["ingress"] == [{"from": [peer], "ports": [{"port": "console"}]}]
    ports = [port["port"] for rule in own["spec"]["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 5672, 5671, 5432, 8080]
    # Policies add up: the policy of the workers would permit the internet.
    assert workers["spec"]["podSelector"]["matchExpressions"] == [
        {"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["console"]}
    ]
    (allowed,) = workers["spec"]["ingress"][0]["from"]
    labels = allowed["podSelector"]["matchLabels"]
    assert labels["app.kubernetes.io/component"] == "console"


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"existingSecret": ""}, "console.existingSecret: name the Secret"),
        ({"rabbitmq": {"existingSecret": ""}}, "console.rabbitmq.existingSecret: name the Secret"),
        ({"tokenFile": "/x"}, "console.existingSecret, console.tokenFile: set only one"),
        (
            {"database": {"existingSecret": "a", "urlFile": "/x"}},
            "console.database.existingSecret, console.database.urlFile: set only one",
        ),
        ({"service": {"port": 80}}, "/console/service/port"),
        ({"trustedProxies": ["proxy"]}, "/console/trustedProxies/0"),
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
    ],
)
def test_values_of_a_console_that_cannot_work_are_refused(values: Values, fault: str) -> None:
    assert fault in refusal(merged(ON, {"console": values}))


def test_a_console_beside_an_sqlite_file_is_refused() -> None:
    assert "no other pod can read an SQLite file" in refusal(
        merged(MINIMAL_SQLITE, SWITCHES["console"])
    )
