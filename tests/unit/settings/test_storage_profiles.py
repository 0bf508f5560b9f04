"""Storage profiles are checked when they are read, follow their file, and are never shown."""

import json
from pathlib import Path

import pytest

from worker.domain.errors import WrongSettings
from worker.settings.settings import Settings
from worker.settings.storage_profiles import StorageProfiles

ARCHIVE = {"type": "aws", "bucket": "meetings", "access_key": "AK", "secret": "open-sesame"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "profiles.json"
    file.write_text(json.dumps({"archive": ARCHIVE}))
    return file


def test_a_profile_is_the_storage_config_that_the_api_expects(path: Path) -> None:
    profiles = StorageProfiles.from_file(path)
    assert dict(profiles["archive"]) == ARCHIVE
    assert profiles.get("unknown") is None
    assert list(profiles) == ["archive"]


def test_the_repr_of_profiles_shows_their_names_only(path: Path) -> None:
    assert repr(StorageProfiles.from_file(path)) == "StorageProfiles(archive)"


def test_the_secrets_of_profiles_are_sensitive_texts(path: Path) -> None:
    assert set(StorageProfiles.from_file(path).sensitive_texts()) == {"AK", "open-sesame"}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[]", "must hold a JSON object"),
        ("{", "must hold a JSON object"),
        ("[" * 60_000, "must hold a JSON object"),
        ('{"a": 7}', "profile 'a': must be an object"),
        ('{"a": {"type": "sesame"}}', "profile 'a': field `type` must be one of aws, azure, "),
        (
            '{"a": {"type": "aws", "secrte": "sesame"}}',
            "profile 'a': field `secrte` is not known; did you mean `secret`?",
        ),
        ('{"a": {"type": "aws", "secret": 7}}', "profile 'a': field `secret` must be at most "),
        ('{"a": {"type": "cloudflare"}}', "profile 'a': field `account_id` must be given "),
        ('{"a": {"type": "aws"}, "a": {"type": "gcs"}}', "has 'a' twice in one object"),
        ('{"": {"type": "aws"}}', "profile name '' must be 1 to 128 characters"),
    ],
)
def test_a_wrong_profile_stops_the_start_with_an_error_that_names_it(
    path: Path, content: str, fault: str
) -> None:
    path.write_text(content)

    with pytest.raises(WrongSettings) as raised:
        Settings.from_env(
            {
                "REALTIMEKIT_ACCOUNT_ID": "a",
                "REALTIMEKIT_APP_ID": "b",
                "REALTIMEKIT_API_TOKEN": "c",
                "WORKER_STORAGE_PROFILES_FILE": str(path),
            }
        )

    (only,) = raised.value.faults
    assert only.startswith(f"WORKER_STORAGE_PROFILES_FILE: the file {path} {fault}")
    assert "sesame" not in only
