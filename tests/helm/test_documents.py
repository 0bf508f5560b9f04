"""Every value is documented, and what is written from values.yaml is as it would be written."""

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


def test_the_readme_and_the_schema_are_as_make_chart_writes_them() -> None:
    assert documents.main(["--check"]) == 0


def test_the_schema_knows_every_value_and_no_other() -> None:
    described = {value.path for value in documents.values()}
    for path in described:
        assert _member(path)
    known = set(_names(documents.schema(), ()))
    unknown = {
        path
        for path in known
        if path[0] not in {"global", "settings", "apps"}
        and not any(path[: len(one)] == one for one in described)
    }
    assert unknown == set()


def test_the_schema_has_every_setting_that_is_no_secret() -> None:
    known = documents.schema()["properties"]["settings"]["properties"].keys()
    plain = {row.variable for row in documented_settings() if not row.secret}
    assert known == plain - documents.NOT_HERE


def test_the_readme_tells_how_to_install() -> None:
    given = re.findall(r"--set (\S+)", (CHART / "README.md").read_text())
    given = [each.replace("…", "0123abcd") for each in given]
    values = merged(*map(helm_python.parse_set_string, given))
    assert workload(manifests(values))["kind"] == "Deployment"


def test_the_chart_is_for_this_version_of_the_worker() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == version("recording-worker")


def _member(path: tuple[str, ...]) -> dict[str, Any]:
    about = documents.schema()
    for name in path:
        about = about["properties"][name]
    return about


def _names(about: dict[str, Any], path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths of all members without members of their own."""
    members = about.get("properties", {})
    if not members:
        return [path]
    return [each for name, member in members.items() for each in _names(member, (*path, name))]
