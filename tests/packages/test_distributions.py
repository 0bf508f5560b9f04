"""The three distributions, built as `make dist` builds them."""

import os
import subprocess
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.packages.foreign_project import BARE, ROOT

BIN: Final = ROOT / ".venv-integrations/bin"
FOLDERS: Final = {
    "recording_worker": ROOT,
    "recording_worker_sandbox": ROOT / "sandbox",
    "recording_worker_schemas": ROOT / "schemas",
}


class BuiltDistribution(msgspec.Struct, frozen=True):
    """The files of one distribution. `wheel` was built from `sdist`."""

    folder: Path
    sdist: Path
    wheel: Path


def build(folder: Path, directory: Path, *flags: str) -> None:
    """Build in an environment that has the backend already."""
    subprocess.run(
        [BIN / "python", "-m", "build", "--no-isolation", *flags, "--outdir", directory, folder],
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        check=True,
    )


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuiltDistribution]:
    """The three distributions by name."""
    found = {}
    for name, folder in FOLDERS.items():
        directory = tmp_path_factory.mktemp("dist")
        build(folder, directory)
        (sdist,), (wheel,) = directory.glob("*.tar.gz"), directory.glob("*.whl")
        found[name] = BuiltDistribution(folder, sdist, wheel)
    return found


@pytest.fixture(params=FOLDERS)
def built(
    request: pytest.FixtureRequest, distributions: dict[str, BuiltDistribution]
) -> BuiltDistribution:
    """Each distribution."""
    return distributions[request.param]


@pytest.fixture
def metadata(built: BuiltDistribution) -> Iterator[Message]:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (file for file in wheel.namelist() if file.endswith(".dist-info/METADATA"))
        yield Parser().parsestr(wheel.read(name).decode())


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_index_would_take_the_files(distributions: dict[str, BuiltDistribution]) -> None:
    files = [file for built in distributions.values() for file in (built.sdist, built.wheel)]
    checked = subprocess.run(
        [BIN / "twine", "check", "--strict", *files],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("PASSED") == len(files)


def test_the_wheel_of_the_sdist_is_that_of_the_checkout(
    built: BuiltDistribution, tmp_path: Path
) -> None:
    build(built.folder, tmp_path, "--wheel")
    (wheel,) = tmp_path.glob("*.whl")

    assert contents(wheel) == contents(built.wheel)


def test_the_metadata_has_the_description_the_authors_and_the_links(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    pythons = [f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)]

    assert metadata["Author"] == "recording-worker"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Keywords"]
    assert {url.split(",")[0] for url in metadata.get_all("Project-URL", [])} >= {"Documentation"}
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(pythons) < set(classifiers)
    assert "Typing :: Typed" in classifiers


def test_the_wheel_has_its_package_its_licence_and_nothing_else(built: BuiltDistribution) -> None:
    names = contents(built.wheel)
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}

    assert len(top) == 1
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    if top != {"worker"}:  # other projects do not import the worker
        assert f"{top.pop()}/py.typed" in names


def test_the_wheel_of_the_worker_has_every_file_of_the_console(
    distributions: dict[str, BuiltDistribution],
) -> None:
    folder = ROOT / "worker" / "console" / "static"

    names = contents(distributions["recording_worker"].wheel).keys()

    expected = {f"worker/console/static/{file.name}" for file in folder.iterdir()}
    assert len(expected) > 10
    assert expected <= names


def test_the_wheel_of_the_message_types_carries_its_documents_and_writes_them(
    distributions: dict[str, BuiltDistribution], tmp_path: Path
) -> None:
    site, written = tmp_path / "site", tmp_path / "written"
    with zipfile.ZipFile(distributions["recording_worker_schemas"].wheel) as archive:
        archive.extractall(site)
    subprocess.run(
        [BARE, "-m", "recording_schemas.export", "--to", written],
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path,
        check=True,
    )
    documents = site / "recording_schemas" / "documents"

    assert {"asyncapi.yaml", "json/stop_recording.json"} <= files_in(documents).keys()
    assert files_in(documents).items() <= files_in(written).items()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_sbom_has_every_locked_library_of_the_image(tmp_path: Path) -> None:
    bom = tmp_path / "bom.json"
    subprocess.run(
        [
            *(BIN / "cyclonedx-py", "requirements", ROOT / "requirements/run.lock"),
            *("--pyproject", ROOT / "pyproject.toml", "--mc-type", "application"),
            *("--no-validate", "--output-reproducible", "--output-file", bom),
        ],
        capture_output=True,
        check=True,
    )
    found = msgspec.json.decode(bom.read_bytes())
    lines = (ROOT / "requirements/run.lock").read_text().splitlines()
    locked = {line.split("==")[0].split("[")[0] for line in lines if "==" in line.split(" ")[0]}

    assert found["metadata"]["component"]["name"] == "recording-worker"
    assert {component["name"].lower() for component in found["components"]} == locked
    assert all(component["version"] for component in found["components"])
