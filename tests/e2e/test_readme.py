"""Compares the documents with the project."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, decode_command, decode_event

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "schemas/README.md"])
MESSAGE_PAGES = [ROOT / f"docs/how-to/{n}.md" for n in ("control-recordings", "receive-events")]
README = (ROOT / "README.md").read_text()


def test_every_json_example_of_commands_and_events_is_a_message() -> None:
    texts = (README, *(page.read_text() for page in MESSAGE_PAGES))
    blocks = [
        block for text in texts for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    ]
    shown = set()
    for block in map(str.encode, blocks):
        if b'"specversion"' in block:
            shown.add(decode_event(block).type)
        else:
            shown.add(decode_command(block).command_type)
    assert shown == {*COMMAND_TYPES, "recording.file_ready.v1"}


def test_the_pages_of_messages_name_every_message() -> None:
    names = {*COMMAND_TYPES, *EVENT_TYPES.values()}
    text = "".join(page.read_text() for page in MESSAGE_PAGES)
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_variable_in_the_documents_is_a_setting() -> None:
    known = (ROOT / "docs/reference/settings.md").read_text()
    mentioned = set(re.findall(r"\b(?:WORKER|REALTIMEKIT|HTTP|LOG)_[A-Z_]+\b", README))
    assert mentioned
    assert not [name for name in mentioned if f"`{name}`" not in known]


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", _all_text(), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_and_path_in_the_documents_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)\)", text)
    paths = re.findall(r"`((?:tests|docs|worker|sandbox|schemas)/[\w/.-]+)`", text)
    assert not [link for link in links if not (document.parent / link).exists()]
    assert not [path for path in paths if not (ROOT / path).exists()]


def _all_text() -> str:
    return "\n".join(_texts())


def _texts() -> Iterator[str]:
    for document in DOCUMENTS:
        yield document.read_text()
