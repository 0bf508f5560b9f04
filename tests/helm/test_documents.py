"""Every value of the chart is documented, and the generated documents are up to date."""

import re
from importlib.metadata import version
from typing import Any, Final

import helm_python
import pytest
import yaml

from tests.helm import documents
from tests.helm.chart import CHART, container, example, manifests, merged, workload
from worker.settings.settings import all_variables


def test_every_value_is_documented() -> None:
    assert [".".join(value.path) for value in documents.values() if not value.meaning] == []


def test_the_generated_documents_are_up_to_date() -> None:
    assert documents.main(["--check"]) == 0


def test_the_schema_has_every_value_and_no_other() -> None:
    documented = {value.path for value in documents.values()}
    for path in documented:
        assert _property(path)
    unknown = {
        path
        for path in _leaf_paths(documents.schema(), ())
        if path[0] not in {"global", "settings", "apps"}
        and not any(path[: len(prefix)] == prefix for prefix in documented)
    }
    assert unknown == set()


def test_the_schema_has_every_setting_that_is_no_secret() -> None:
    in_schema = documents.schema()["properties"]["settings"]["properties"].keys()
    plain = {setting.name for setting in all_variables() if not setting.secret}
    assert in_schema == plain - documents.DERIVED_SETTINGS


README: Final = (CHART / "README.md").read_text()
COMMANDS: Final = re.findall(r"helm install (.*?)\n(?=helm|```)", README, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_install_command_of_the_readme_works(command: str) -> None:
    files = re.findall(r"-f helm/recording-worker/examples/(\S+)\.yaml", command)
    arguments = re.findall(r"--set (\S+)", command.replace("…", "0123abcd"))
    flags = map(helm_python.parse_set_string, arguments)
    found = manifests(merged(*map(example, files), *flags), name="recorder")
    assert workload(found)["metadata"]["name"] == "recorder-recording-worker"
    assert container(found)["image"].startswith("registry.example.com/recording-worker:")


def test_the_readme_has_a_quick_start_for_each_way_to_install() -> None:
    assert len(COMMANDS) == 5
    for text in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        assert yaml.safe_load(text)


def test_the_table_of_contents_of_the_readme_is_complete() -> None:
    headings = re.findall(r"^###? (.+)$", README, re.MULTILINE)
    links = set(re.findall(r"\(#([a-z-]+)\)", README))
    assert {heading.lower().replace(" ", "-") for heading in headings} - {"quick-starts"} == links


def test_a_value_that_the_readme_names_exists() -> None:
    paths = {value.path for value in documents.values()}
    known = {".".join(path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    last = {path[-1] for path in paths}
    text = README.partition("## Values")[0]
    named = set(re.findall(r"`([a-z][A-Za-z]+(?:\.[a-z][A-Za-z]+)+)(?:=[^`]*)?`", text))
    top = {path[0] for path in paths}
    assert {name for name in named if name.partition(".")[0] in top} <= known
    for name in ("urlFile", "tokenFile", "headersFile", "file", "existingSecret", "minAvailable"):
        assert name in last


def test_the_chart_is_for_this_version_of_the_worker() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version("recording-worker")


def _property(path: tuple[str, ...]) -> dict[str, Any]:
    schema = documents.schema()
    for name in path:
        schema = schema["properties"][name]
    return schema


def _leaf_paths(schema: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths of all properties without sub-properties."""
    properties = schema.get("properties", {})
    if not properties:
        return [path]
    return [
        leaf for name, inner in properties.items() for leaf in _leaf_paths(inner, (*path, name))
    ]
