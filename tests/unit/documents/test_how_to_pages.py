"""The worker accepts the JSON examples of the how-to pages without a change."""

import re
from pathlib import Path
from typing import Final

import pytest

from recording_schemas import decode_command
from worker.settings.apps import AppsFile
from worker.settings.storage_profiles import decode_profiles

HOW_TO: Final = Path(__file__).parents[3] / "docs" / "how-to"


def json_examples(page: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", (HOW_TO / page).read_text(), re.DOTALL)


@pytest.fixture
def apps(tmp_path: Path) -> AppsFile:
    file = tmp_path / "apps.json"
    text = json_examples("several-apps.md")[0].replace("/run/secrets", str(tmp_path))
    for token_file in re.findall(r'"api_token_file": "([^"]+)"', text):
        Path(token_file).write_text("token")
    file.write_text(text)
    return AppsFile.from_file(file)


def test_the_worker_reads_the_apps_of_the_page_and_they_include_the_app_of_its_command(
    apps: AppsFile,
) -> None:
    command = decode_command(json_examples("several-apps.md")[1].encode())
    assert command.app in {entry.name for entry in apps}


def test_the_worker_reads_the_storage_profile_that_the_page_has_the_command_name() -> None:
    profiles = decode_profiles(json_examples("keep-the-files.md")[-1])
    named = re.findall(r"storage_profile=(\w+)", (HOW_TO / "keep-the-files.md").read_text())
    assert named
    assert set(named) <= set(profiles)
