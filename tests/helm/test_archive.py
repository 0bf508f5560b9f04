"""The archive in the chart: settings, credentials, folder, egress, and contradicting values."""

from typing import Any, Final

import pytest

from tests.helm.chart import (
    MINIMAL,
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

S3: Final[Values] = {"archive": {"url": "s3://meetings/recordings"}}
FOLDER: Final[Values] = {"archive": {"url": "file:///srv/recordings"}}


def settings(values: Values) -> dict[str, Any]:
    found: dict[str, Any] = only(manifests(merged(MINIMAL, values)), "ConfigMap")["data"]
    return found


def test_without_a_url_there_is_no_setting_of_the_archive() -> None:
    assert not [name for name in settings({}) if "ARCHIVE" in name]


def test_values_and_variables_become_settings() -> None:
    region = {"archive": {"variables": {"AWS_REGION": "auto"}, "maxBytesPerSecond": 250_000_000}}

    found = settings(merged(S3, region))

    assert found["WORKER_ARCHIVE_URL"] == "s3://meetings/recordings"
    assert found["WORKER_ARCHIVE_CONCURRENCY"] == "4"
    assert found["WORKER_ARCHIVE_MAX_BYTES_PER_SECOND"] == "250000000"
    assert found["AWS_REGION"] == "auto"


def test_the_keys_of_the_secret_are_variables_of_the_worker() -> None:
    values = merged(MINIMAL, S3, {"archive": {"existingSecret": "bucket"}})

    sources = container(manifests(values))["envFrom"]

    assert {"secretRef": {"name": "bucket"}} in sources


def test_a_folder_is_mounted_at_the_path_of_its_url_in_the_worker_alone() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "recordings"}}
    found = manifests(merged(MINIMAL, FOLDER, {"archive": {"volume": claim}}))

    spec = pod(found)["spec"]

    assert {"name": "archive", "mountPath": "/srv/recordings"} in container(found)["volumeMounts"]
    assert {"name": "archive", **claim} in spec["volumes"]
    check = only(found, "Pod")["spec"]
    assert "archive" not in [volume["name"] for volume in check["volumes"]]


def test_a_network_policy_lets_the_worker_reach_the_storage() -> None:
    policy = {"networkPolicy": {"enabled": True, "archive": {"to": [], "ports": [9000]}}}

    without = only(manifests(merged(MINIMAL, policy)), "NetworkPolicy")["spec"]["egress"]
    with_it = only(manifests(merged(MINIMAL, S3, policy)), "NetworkPolicy")["spec"]["egress"]

    assert with_it == [*without, {"ports": [{"port": 9000}]}]


def test_the_example_for_production_archives_with_credentials_from_a_secret() -> None:
    found = manifests(example("production"))

    variables = {
        name: value
        for config_map in of_kind(found, "ConfigMap")
        for name, value in config_map["data"].items()
    }
    egress = only(found, "NetworkPolicy")["spec"]["egress"]

    assert variables["WORKER_ARCHIVE_URL"] == "s3://meetings/recordings"
    assert variables["AWS_REGION"] == "eu-central-1"
    assert {"secretRef": {"name": "recording-worker-archive"}} in container(found)["envFrom"]
    internet = [rule for rule in egress if "0.0.0.0/0" in str(rule)]
    assert any({"port": 443} in rule["ports"] for rule in internet)


SQLITE: Final[Values] = {"database": {"engine": "sqlite"}, "replicas": 1}


@pytest.mark.parametrize(
    ("url", "values"),
    [
        ("file:///mnt/files", {"extraVolumeMounts": [{"name": "a", "mountPath": "/mnt/files/"}]}),
        ("file:///mnt/files/x", {"extraVolumeMounts": [{"name": "a", "mountPath": "/mnt/files"}]}),
        ("file:///var/lib/recording-worker/archive", SQLITE),
    ],
)
def test_a_folder_may_lie_on_another_volume_that_is_mounted(url: str, values: Values) -> None:
    volume = {"extraVolumes": [{"name": "a", "emptyDir": {}}]}

    assert settings(merged(volume, {"archive": {"url": url}}, values))["WORKER_ARCHIVE_URL"] == url


@pytest.mark.parametrize("mounted", ["/mnt/file", "/mnt/files/x/y", "/srv"])
def test_a_folder_that_no_volume_holds_is_refused(mounted: str) -> None:
    mounts: Values = {
        "extraVolumes": [{"name": "a", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "a", "mountPath": mounted}],
        "archive": {"url": "file:///mnt/files/x"},
    }

    assert "archive.volume: set it, or mount the folder" in refusal(merged(MINIMAL, mounts))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"key": "{file_name}"}, "archive.key: set archive.url too"),
        ({"existingSecret": "a"}, "archive.existingSecret: set archive.url too"),
        ({"url": "s3://a", "volume": {"emptyDir": {}}}, "archive.volume: it is for a folder"),
        (
            {"url": "s3://a", "variables": {"AWS_SECRET_ACCESS_KEY": "x"}},
            "archive.variables.AWS_SECRET_ACCESS_KEY: a secret must come from",
        ),
        (
            {"url": "s3://a", "variables": {"WORKER_PREFETCH": "1"}},
            "archive.variables.WORKER_PREFETCH: it is no variable of a storage provider",
        ),
        ({"url": "ftp://a/b"}, "archive"),
        ({"url": "s3://key:secret@a"}, "archive"),
        ({"url": "file://srv/recordings"}, "archive"),
        ({"url": "s3://a", "concurrency": 0}, "concurrency"),
    ],
)
def test_values_that_contradict_are_refused_by_name(values: Values, words: str) -> None:
    assert words in refusal(merged(MINIMAL, {"archive": values}))
