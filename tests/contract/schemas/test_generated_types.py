"""Code generators of integrators accept the schemas, and their output compiles."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from recording_schemas.export import HOME
from tests.contract.schemas.message_schemas import SCHEMAS

NODE: Final = Path(__file__).parents[2] / "node"
INTEGRATIONS: Final = HOME.parent / ".venv-integrations/bin"
GO_CACHE: Final = HOME.parent / ".venv-integrations/go-cache"
"""Go compiles its own library into this cache at the first run, which takes a minute."""

MODELS: Final = Path(__file__).parent / "validate_generated_models.py"
pytestmark = pytest.mark.timeout(300)


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def vet(folder: Path) -> None:
    """Compile and vet the Go files of a folder, without a network."""
    (folder / "go.mod").write_text("module messages\n\ngo 1.21\n")
    alone = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    run(INTEGRATIONS / "go", "vet", "./...", cwd=folder, env=alone | {"GOCACHE": str(GO_CACHE)})


def test_ajv_takes_the_examples_and_generated_typescript_and_go_compile(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node, "Node.js 18 or newer is needed for the generators of types"

    run(node, NODE / "generate_types.mjs", HOME, tmp_path, cwd=NODE)  # with Ajv first

    scripts = [*tmp_path.glob("json-schema-to-typescript/*"), *tmp_path.glob("modelina-t*/*")]
    assert len(scripts) > 2 * len(SCHEMAS)
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--skipLibCheck",
    ]
    run(NODE / "node_modules/.bin/tsc", *options, *scripts, cwd=tmp_path)
    for tool in ("quicktype-go", "modelina-go"):
        vet(tmp_path / tool)
    assert not [*tmp_path.glob("modelina-*/*nonymous*")], (
        "each type has a name that says what it is"
    )
    assert "= any" not in (tmp_path / "modelina-typescript/StartRecording.ts").read_text()
    assert "idempotency key" in (tmp_path / "quicktype-go/messages.go").read_text()


def test_generated_pydantic_models_accept_every_example(tmp_path: Path) -> None:
    models = tmp_path / "models"
    options: dict[str, str | Path] = {
        "--input": HOME / "json",
        "--input-file-type": "jsonschema",
        "--output": models,
        "--output-model-type": "pydantic_v2.BaseModel",
        "--target-python-version": "3.11",
    }
    flags = [part for option in options.items() for part in option]
    # Formatting the models takes half of the time and is not needed.
    run(INTEGRATIONS / "datamodel-codegen", *flags, "--no-formatters", cwd=tmp_path)

    accepted = run(INTEGRATIONS / "python", MODELS, models, HOME / "examples", cwd=tmp_path)

    assert accepted.split() == sorted(SCHEMAS)
