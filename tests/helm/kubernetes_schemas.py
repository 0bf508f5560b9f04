"""Checks objects by the schemas of Kubernetes in the package `kubernetes-validate`.

That package reads two megabytes for each object. Here they are read once for each version.
"""

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.helm.chart import Manifest
from tests.helm.custom_resource_schemas import SPECS

_SCHEMAS: Final = Path(str(files("kubernetes_validate"))) / "kubernetes-json-schema"


@cache
def versions() -> tuple[str, ...]:
    """The versions with schemas, such as `1.25`, oldest first."""
    names = (directory.name for directory in _SCHEMAS.glob("v*.0-local-strict"))
    found = [name.removeprefix("v").removesuffix(".0-local-strict") for name in names]
    return tuple(sorted(found, key=lambda version: int(version.partition(".")[2])))


def faults(manifest: Manifest, version: str) -> list[str]:
    """The reasons why this version of Kubernetes would refuse the object. Unknown fields count."""
    return list(_faults(json.dumps(manifest, sort_keys=True), version))


@cache
def _faults(text: str, version: str) -> tuple[str, ...]:
    manifest: Manifest = json.loads(text)
    spec = SPECS.get(f"{manifest['apiVersion']}/{manifest['kind']}")
    if spec is None:
        group, _, rest = manifest["apiVersion"].rpartition("/")
        name = f"{group.partition('.')[0]}-{rest}" if group else rest
        return _messages(_validator(manifest["kind"].lower(), name, version), manifest)
    outer = manifest.keys() ^ {"apiVersion", "kind", "metadata", "spec"}
    return (*outer, *_messages(Draft202012Validator(spec), manifest["spec"]))


def _messages(validator: Draft202012Validator, value: object) -> tuple[str, ...]:
    errors: Iterable[Any] = validator.iter_errors(value)
    return tuple(f"{error.json_path}: {error.message}" for error in errors)


@cache
def _validator(kind: str, api_version: str, version: str) -> Draft202012Validator:
    schema = json.loads((_directory(version) / f"{kind}-{api_version}.json").read_text())
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> "Registry[Any]":
    contents = json.loads((_directory(version) / "_definitions.json").read_text())
    return Resource.from_contents(contents) @ Registry()


def _directory(version: str) -> Path:
    return _SCHEMAS / f"v{version}.0-local-strict"
