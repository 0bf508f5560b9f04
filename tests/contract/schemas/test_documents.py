"""The generated documents are up to date, and independent tools accept them."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, message_page
from recording_schemas.asyncapi import document
from recording_schemas.export import HOME, drift, generated, main, write
from recording_schemas.json_schema import DIALECT
from tests.contract.schemas.message_schemas import SCHEMAS

NODE = Path(__file__).parents[2] / "node"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project that holds the package, with its generated files."""
    for page in (Path("docs", "errors.md"), Path("docs", "reference", "messages.md")):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HOME.parent / page, tmp_path / page)
    return shutil.copytree(HOME, tmp_path / "schemas", ignore=shutil.ignore_patterns("__pycache__"))


def test_the_generated_files_are_up_to_date() -> None:
    assert drift(HOME) == []


def test_the_check_names_each_file_that_is_out_of_date(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "json" / "stop_recording.json").write_text("{}")
    (copy / "examples" / "sync_recording.json").unlink()
    (copy / "examples" / "left_over.json").write_text("{}")
    (copy.parent / "docs/errors.md").write_text("# Errors")

    assert main(["--check"], copy) == 1
    printed = capsys.readouterr().err
    for name in ("json/stop_recording", "examples/sync_recording", "examples/left_over"):
        assert f"schemas/{name}.json" in printed
    assert "docs/errors.md" in printed
    assert printed.count("\n") == 4


def test_writing_changes_only_files_that_are_out_of_date(copy: Path) -> None:
    (copy / "asyncapi.yaml").write_text("x")
    (copy / "json" / "left_over.json").write_text("{}")

    assert write(copy) == [Path("asyncapi.yaml"), Path("json", "left_over.json")]
    assert main(["--check"], copy) == 0
    assert main([], copy) == 0


def test_every_message_has_a_schema_and_an_example() -> None:
    names = {*COMMAND_TYPES, *EVENT_TYPES.values(), "manifest_v1"}
    expected = {Path(folder, f"{name}.json") for folder in ("json", "examples") for name in names}

    others = {
        Path("asyncapi.yaml"),
        Path("../docs/errors.md"),
        Path("../docs/reference/messages.md"),
    }
    assert generated(HOME).keys() == expected | others


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_has_its_own_name(name: str) -> None:
    schema = SCHEMAS[name]

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["$id"].endswith(name)


def test_the_page_of_messages_explains_the_envelope_of_every_event() -> None:
    envelope = message_page.page().partition("### Envelope")[2].partition("\n### ")[0]

    assert "`command.succeeded.v1`" in envelope
    for name, event in SCHEMAS.items():
        if "specversion" in event["properties"]:
            rows = {f"| `{field}` |" for field in event["properties"]}
            assert all(row in envelope for row in rows), name


def test_schema_names_are_unique() -> None:
    assert len({schema["$id"] for schema in SCHEMAS.values()}) == len(SCHEMAS)


DAMAGES = (
    ('$ref: "#/channels/status"', '$ref: "#/channels/gone"', "gone"),
    ('"#/components/schemas/StopRecording"', '"#/components/schemas/Gone"', "Gone"),
    ("durable: true", "durable: 7", "durable"),
    ("action: receive", "action: take", "action"),
    ("defaultContentType: ", "defaultContent: ", "defaultContent"),
)
"""A text of the AsyncAPI document, its replacement, and a word of the parser's complaint."""


class ParserReport(msgspec.Struct, frozen=True):
    """The result of AsyncAPI's own parser: correct documents as JSON, complaints by file."""

    correct: list[str]
    complaints: dict[str, list[str]]


@pytest.fixture(scope="module")
def parser_report(tmp_path_factory: pytest.TempPathFactory) -> ParserReport:
    """The report on the document and its damaged copies.

    One process parses all of them, because the parser takes seconds to load.
    """
    folder = tmp_path_factory.mktemp("asyncapi")
    text = (HOME / "asyncapi.yaml").read_text()
    (folder / "right.yaml").write_text(text)
    for number, (right, wrong, _) in enumerate(DAMAGES):
        assert right in text
        (folder / f"damage-{number}.yaml").write_text(text.replace(right, wrong, 1))
    node = shutil.which("node")
    assert node, "Node.js 18 or newer is needed for AsyncAPI's parser"
    assert (NODE / "node_modules").is_dir(), f"run: npm ci (in {NODE})"
    files = {file.stem: str(file) for file in folder.iterdir()}
    command = [node, str(NODE / "validate_asyncapi.mjs"), *files.values()]
    parsed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = parsed.stderr.splitlines()
    complaints = {
        name: [line for line in lines if line.startswith(f"{file}: ")]
        for name, file in files.items()
    }
    return ParserReport(parsed.stdout.splitlines(), complaints)


def test_the_official_parser_accepts_the_asyncapi_document(parser_report: ParserReport) -> None:
    assert parser_report.complaints["right"] == []
    (parsed,) = parser_report.correct
    assert json.loads(parsed) == document("0.1.0")


def test_the_official_parser_refuses_each_damaged_document(parser_report: ParserReport) -> None:
    for number, (_, _, complaint) in enumerate(DAMAGES):
        complaints = parser_report.complaints[f"damage-{number}"]
        assert any(complaint in line for line in complaints), (number, complaints)


def test_the_asyncapi_document_has_the_exchanges_and_queues_of_the_worker() -> None:
    bindings = [
        channel["bindings"]["amqp"]
        for channel in document("1")["channels"].values()
        if channel["address"]
    ]
    exchanges = {
        binding["exchange"]["name"] for binding in bindings if binding["is"] == "routingKey"
    }
    queues = {binding["queue"]["name"] for binding in bindings if binding["is"] == "queue"}

    events = {"recording.status", "recording.files", "recording.results"}
    assert exchanges == {"recording.commands"} | events
    assert queues == {
        "recording.commands",
        "recording.commands.dead",
        "recording.commands.retry.{step}",
    }


def test_every_message_is_on_a_channel_and_every_channel_in_use_has_an_operation() -> None:
    asyncapi = document("1")
    on_channels = {
        message for channel in asyncapi["channels"].values() for message in channel["messages"]
    }
    used = {
        operation["channel"]["$ref"].rsplit("/", 1)[1]
        for operation in asyncapi["operations"].values()
    }

    assert on_channels == {*COMMAND_TYPES, *EVENT_TYPES.values(), "dead_letter"}
    assert asyncapi["channels"].keys() - used == {"retries", "replies"}


def test_the_lock_of_the_node_tools_names_no_host() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())

    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_a_wheel_of_the_message_types_holds_one_package_and_nothing_else(
    copy: Path, tmp_path: Path
) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=copy, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")

    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert top == {"recording_schemas", "recording_worker_schemas-0.1.0.dist-info"}
    assert "recording_schemas/py.typed" in zipfile.ZipFile(wheel).namelist()


def test_the_package_imports_nothing_but_msgspec_and_the_standard_library() -> None:
    script = "import sys, recording_schemas, recording_schemas.asyncapi; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()

    new = {name.split(".")[0] for name in {*loaded} - {*bare}} - sys.stdlib_module_names
    # msgspec itself takes typing_extensions where it finds it.
    assert new - {"typing_extensions"} == {"msgspec", "recording_schemas"}


def test_the_asyncapi_examples_name_their_routing_keys() -> None:
    messages = document("1")["components"]["messages"]
    keys = {name: messages[name].get("x-example-routing-key") for name in EVENT_TYPES.values()}

    assert keys["recording.file_ready.v1"] == "track.audio.ready"
    assert all(keys.values())


def test_the_readme_shows_code_that_runs() -> None:
    readme = (HOME / "README.md").read_text()
    publish, read, _faststream = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    stand_ins = (
        "body = open(__import__('sys').argv[1]).read().encode()\nseen_first_time = fetch = print\n"
    )
    example = str(HOME / "examples" / "recording.file_ready.v1.json")

    subprocess.run([sys.executable, "-c", publish], check=True)
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", stand_ins + read, example],
        check=True,
        capture_output=True,
        text=True,
    )

    assert shown.stdout
