"""Every command in the notes of a release names objects of the release."""

import re
import shlex
from typing import Final

import pytest

from tests.helm.chart import (
    MINIMAL,
    MINIMAL_SQLITE,
    Values,
    container,
    manifests,
    merged,
    of_kind,
    only,
    pod,
    texts,
    workload,
)
from tests.helm.test_manifests import SWITCHES

RELEASE: Final = "my.release"
CASES: Final = {
    "deployment": MINIMAL,
    "stateful set": MINIMAL_SQLITE,
    "other names": merged(MINIMAL, {"nameOverride": "x", "service": {"port": 9000}}),
    "sidecar": merged(MINIMAL, {"sidecars": [{"name": "agent", "image": "agent"}]}),
    "console": merged(MINIMAL, SWITCHES["console"]),
    "verified topology": merged(MINIMAL, {"settings": {"WORKER_TOPOLOGY": "verify"}}),
}


def notes(values: Values) -> str:
    """The notes of a release with these values."""
    return texts(values, name=RELEASE)["NOTES.txt"]


def commands(values: Values) -> list[list[str]]:
    """The commands in the notes: indented lines that begin with a program."""
    lines = re.findall(r"^ {5}((?:kubectl|helm|curl) .*)$", notes(values), re.MULTILINE)
    return [shlex.split(line.removesuffix(" &").partition(" < ")[0]) for line in lines]


def in_the_pod(values: Values) -> list[list[str]]:
    """The commands of the notes that run inside of a pod, without kubectl."""
    return [words[words.index("--") + 1 :] for words in commands(values) if "exec" in words]


@pytest.mark.parametrize("case", CASES)
def test_every_command_has_the_namespace_and_an_object_that_exists(case: str) -> None:
    found = manifests(CASES[case], name=RELEASE)
    target = f"{workload(found)['kind'].lower()}/{workload(found)['metadata']['name']}"
    services = {f"service/{manifest['metadata']['name']}" for manifest in of_kind(found, "Service")}
    assert len(commands(CASES[case])) == (9 if case == "console" else 8)
    for program, *words in commands(CASES[case]):
        if program == "kubectl":
            assert words[:2] == ["-n", "meetings"]
            assert target in words or words[2] == "get" or services & set(words)
        if program == "helm":
            assert words == ["-n", "meetings", "test", RELEASE, "--logs"]


@pytest.mark.parametrize("case", CASES)
def test_commands_run_in_the_container_of_the_worker(case: str) -> None:
    found = manifests(CASES[case], name=RELEASE)
    for words in commands(CASES[case]):
        if "exec" in words or "logs" in words:
            assert words[words.index("-c") + 1] == container(found)["name"]
    assert [words[-1] for words in in_the_pod(CASES[case])] == ["--wait", "recordings"]


@pytest.mark.parametrize("case", CASES)
def test_the_selector_of_the_notes_finds_the_pods(case: str) -> None:
    (get,) = [words for words in commands(CASES[case]) if "get" in words]
    labels = dict(part.split("=") for part in get[-1].split(","))
    found = manifests(CASES[case], name=RELEASE)
    assert labels.items() <= pod(found)["metadata"]["labels"].items()


@pytest.mark.parametrize("case", CASES)
def test_readiness_is_asked_at_the_port_of_the_worker(case: str) -> None:
    found = manifests(CASES[case], name=RELEASE)
    (port,) = [each["containerPort"] for each in container(found)["ports"]]
    forward, *_ = [words for words in commands(CASES[case]) if "port-forward" in words]
    (curl,) = [words for words in commands(CASES[case]) if words[0] == "curl"]
    assert forward[-1] == f"{port}:{port}"
    assert curl[-1] == f"http://127.0.0.1:{port}/readyz"


@pytest.mark.parametrize("case", CASES)
def test_a_command_that_needs_an_operator_reads_the_url_from_stdin(case: str) -> None:
    send, _ = in_the_pod(CASES[case])
    (whole,) = [words for words in commands(CASES[case]) if "send" in words]
    assert send[:3] == ["env", "AMQP_URL_FILE=/dev/stdin", "recording-worker"]
    assert "-i" in whole
    assert " < operator-url\n" in notes(CASES[case])


def test_the_notes_explain_an_unpublished_image() -> None:
    assert "ErrImagePull" in notes(MINIMAL)
    assert "ErrImagePull" not in notes(merged(MINIMAL, {"image": {"registry": "a.example"}}))


def test_the_notes_have_no_double_blank_lines() -> None:
    for values in (*CASES.values(), merged(MINIMAL, {"enabled": False})):
        assert "\n\n\n" not in notes(values)
        assert "<no value>" not in notes(values)


def test_helm_3_can_show_the_log_of_the_check() -> None:
    """Helm 3 shows no log of a test pod that has more than one container."""
    assert len(only(manifests(MINIMAL), "Pod")["spec"]["containers"]) == 1
