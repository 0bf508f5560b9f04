"""Every value of the chart is documented, and the generated documents are up to date."""

import re
from importlib.metadata import version
from typing import Any

import helm_python
import yaml

from tests.helm import documents
from tests.helm.chart import CHART, manifests, merged, workload
from worker.settings.documentation import documented_settings


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
    plain = {setting.variable for setting in documented_settings() if not setting.secret}
    assert in_schema == plain - documents.DERIVED_SETTINGS


def test_the_install_command_of_the_readme_works() -> None:
    arguments = re.findall(r"--set (\S+)", (CHART / "README.md").read_text())
    arguments = [argument.replace("…", "0123abcd") for argument in arguments]
    values = merged(*map(helm_python.parse_set_string, arguments))
    assert workload(manifests(values))["kind"] == "Deployment"


def test_the_chart_is_for_this_version_of_the_worker() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version("recording-worker")


def _property(path: tuple[str, ...]) -> dict[str, Any]:
    schema = documents.schema()
    for name in path:
        schema = schema["properties"][name]
    return schema


def _leaf_paths(schema: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths of all properties that have no properties of their own."""
    properties = schema.get("properties", {})
    if not properties:
        return [path]
    return [
        leaf for name, inner in properties.items() for leaf in _leaf_paths(inner, (*path, name))
    ]
