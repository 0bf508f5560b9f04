"""Whether Kubernetes would take an object, by the schemas of `kubernetes-validate`.

That package reads two megabytes for each object; here they are read once for each version.
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
from tests.helm.custom_resources import SPECS

_SCHEMAS: Final = Path(str(files("kubernetes_validate"))) / "kubernetes-json-schema"


def versions() -> list[str]:
    """Those there are schemas for, as `1.25`, the oldest first."""
    names = (place.name for place in _SCHEMAS.glob("v*.0-local-strict"))
    found = [name.removeprefix("v").removesuffix(".0-local-strict") for name in names]
    return sorted(found, key=lambda version: int(version.partition(".")[2]))


def faults(manifest: Manifest, version: str) -> list[str]:
    """What a Kubernetes of this version does not take; unknown members are faults too."""
    return list(_faults(json.dumps(manifest, sort_keys=True), version))


@cache
def _faults(text: str, version: str) -> tuple[str, ...]:
    manifest: Manifest = json.loads(text)
    spec = SPECS.get(f"{manifest['apiVersion']}/{manifest['kind']}")
    if spec is None:
        group, _, rest = manifest["apiVersion"].rpartition("/")
        name = f"{group.partition('.')[0]}-{rest}" if group else rest
        return _told(_validator(manifest["kind"].lower(), name, version), manifest)
    outer = manifest.keys() ^ {"apiVersion", "kind", "metadata", "spec"}
    return (*outer, *_told(Draft202012Validator(spec), manifest["spec"]))


def _told(validator: Draft202012Validator, value: object) -> tuple[str, ...]:
    errors: Iterable[Any] = validator.iter_errors(value)
    return tuple(f"{error.json_path}: {error.message}" for error in errors)


@cache
def _validator(kind: str, api_version: str, version: str) -> Draft202012Validator:
    schema = json.loads((_place(version) / f"{kind}-{api_version}.json").read_text())
    return Draft202012Validator(schema, registry=_definitions(version))


@cache
def _definitions(version: str) -> "Registry[Any]":
    contents = json.loads((_place(version) / "_definitions.json").read_text())
    return Resource.from_contents(contents) @ Registry()


def _place(version: str) -> Path:
    return _SCHEMAS / f"v{version}.0-local-strict"
