"""Chart.yaml follows the rules of Artifact Hub for its annotations."""

from importlib.metadata import version
from typing import Any, Final

import yaml

from tests.helm.chart import CHART, MINIMAL, container, manifests

PREFIX: Final = "artifacthub.io/"
CATEGORIES: Final = {
    "ai-machine-learning",
    "database",
    "integration-delivery",
    "monitoring-logging",
    "networking",
    "security",
    "skip-prediction",
    "storage",
    "streaming-messaging",
}
KINDS: Final = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def annotations() -> dict[str, str]:
    """The annotations of Chart.yaml, without their prefix."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return {name.removeprefix(PREFIX): text for name, text in chart["annotations"].items()}


def entries(name: str) -> list[dict[str, Any]]:
    """The list in an annotation, which is YAML in a text."""
    found: list[dict[str, Any]] = yaml.safe_load(annotations()[name])
    return found


def test_every_annotation_is_a_text_that_artifact_hub_reads() -> None:
    known = {"category", "changes", "containsSecurityUpdates", "images", "license", "links"}
    assert annotations().keys() == known | {"prerelease", "recommendations"}
    assert all(isinstance(text, str) for text in annotations().values())
    for switch in ("prerelease", "containsSecurityUpdates"):
        assert annotations()[switch] in {"true", "false"}
    assert annotations()["category"] in CATEGORIES
    assert annotations()["license"] == "Apache-2.0"


def test_each_change_has_a_kind_and_a_description() -> None:
    for change in entries("changes"):
        assert change.keys() == {"kind", "description"}
        assert change["kind"] in KINDS
        assert change["description"]


def test_each_link_has_a_name_and_a_url() -> None:
    for link in entries("links"):
        assert link.keys() == {"name", "url"}
        assert link["url"].startswith("https://")
    for recommendation in entries("recommendations"):
        assert recommendation["url"].startswith("https://artifacthub.io/packages/helm/")


def test_the_image_is_the_one_that_the_chart_runs() -> None:
    (image,) = entries("images")
    assert image["image"] == container(manifests(MINIMAL))["image"]
    assert image["image"].endswith(f":{version('recording-worker')}")
