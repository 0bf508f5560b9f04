"""Apps from a file: merged with the plain variables, checked as a whole, tokens that follow."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.settings.apps import AppSettings
from worker.settings.settings import Settings

PLAIN = {
    "REALTIMEKIT_ACCOUNT_ID": "plain-account",
    "REALTIMEKIT_APP_ID": "plain-app",
    "REALTIMEKIT_API_TOKEN": "plain-token",
}
EU: dict[str, Any] = {"account_id": "eu-account", "app_id": "eu-app", "api_token": "eu-token"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "apps.json"


def read(path: Path, apps: object, **variables: str) -> Settings:
    path.write_text(apps if isinstance(apps, str) else json.dumps(apps))
    return Settings.from_env({"WORKER_APPS_FILE": str(path), **variables})


def faults_of(path: Path, apps: object, **variables: str) -> list[str]:
    with pytest.raises(WrongSettings) as raised:
        read(path, apps, **variables)
    return [fault.replace(f" the file {path}", "") for fault in raised.value.faults]


def by_name(settings: Settings) -> dict[str, AppSettings]:
    return {app.name: app for app in settings.apps}


def test_the_plain_variables_alone_make_one_app_named_default() -> None:
    (app,) = Settings.from_env(PLAIN).apps
    assert (app.name, app.account_id, app.app_id) == ("default", "plain-account", "plain-app")
    assert app.api_token.reveal() == "plain-token"


def test_with_a_file_the_plain_variables_are_not_needed(path: Path) -> None:
    assert list(by_name(read(path, {"eu": EU, "us": EU | {"app_id": "us-app"}}))) == ["eu", "us"]


def test_the_plain_app_is_named_default_if_there_is_a_file(path: Path) -> None:
    apps = by_name(read(path, {"eu": EU}, **PLAIN))
    assert list(apps) == ["default", "eu"]
    assert apps["default"].api_token.reveal() == "plain-token"
    assert apps["eu"].api_token.reveal() == "eu-token"


def test_the_variables_supply_fields_that_an_app_leaves_out(path: Path) -> None:
    fields = {
        "base_url": "http://eu:1/v4",
        "webhook_key_url": "http://eu:1/keys",
        "api_budget": "5/1,7/0.5",
        "follow_all": False,
        "public_url": "https://eu.example.com",
    }
    variables = {
        "REALTIMEKIT_BASE_URL": "http://all:1/v4",
        "REALTIMEKIT_WEBHOOK_KEY_URL": "http://all:1/keys",
        "WORKER_API_BUDGET": "9/1",
        "WORKER_FOLLOW_ALL": "on",
        "WORKER_PUBLIC_URL": "https://all.example.com",
    }
    apps = by_name(read(path, {"eu": EU | fields, "us": EU | {"app_id": "us"}}, **variables))
    eu, us = apps["eu"], apps["us"]
    assert (eu.base_url, eu.webhook_key_url) == ("http://eu:1/v4", "http://eu:1/keys")
    assert (eu.follow_all, eu.public_url) == (False, "https://eu.example.com")
    assert eu.api_budget == (Rate(5, 1), Rate(7, 0.5))
    assert (us.base_url, us.webhook_key_url) == ("http://all:1/v4", "http://all:1/keys")
    assert (us.follow_all, us.public_url) == (True, "https://all.example.com")
    assert us.api_budget == (Rate(9, 1),)


def test_every_fault_is_listed_at_once_with_file_app_and_field(path: Path) -> None:
    apps = {
        "eu": {"account_id": "", "app_id": "a b", "api_token": "two words", "accountid": "a"},
        "Big": EU,
        "us": {"app_id": "x", "api_token": "t", "api_token_file": "/not/there"},
        "asia": 7,
    }
    prefetch, *faults = faults_of(path, apps, WORKER_PREFETCH="many")
    assert prefetch.startswith("WORKER_PREFETCH")
    assert [fault.removeprefix("WORKER_APPS_FILE:: ") for fault in faults] == [
        "app 'eu': account_id: must be a text that is not empty",
        "app 'eu': app_id: must be 1 to 64 letters, digits, - and _, not 'a b'",
        "app 'eu': api_token: must be printable ASCII without spaces",
        "app 'eu': accountid: is not a field of an app; remove it",
        "app name 'Big' must be 1 to 64 of a-z, 0-9 and -",
        "app 'us': api_token_file: the file /not/there cannot be read: No such file or directory",
        "app 'us': account_id: is required",
        "app 'us': api_token: is set together with api_token_file; remove one of them",
        "app 'asia': must be an object",
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "is empty"),
        (
            "{",
            "must hold a JSON object that maps app names to their fields; line 1 is not valid JSON",
        ),
        ("[]", "must hold a JSON object"),
        ("{}", "must hold a JSON object"),
        ("[" * 60_000, "must hold a JSON object"),
        ('{"eu": {}, "eu": {}}', "has 'eu' twice in one object"),
        ('{"eu": {"app_id": "a", "app_id": "b"}}', "has 'app_id' twice in one object"),
        (json.dumps({f"app-{n}": {} for n in range(101)}), "must hold at most 100 apps, not 101"),
        ('{"eu": {"account_id": 7}}', "app 'eu': account_id: must be a text that is not empty"),
        ('{"eu": {"follow_all": 1}}', "app 'eu': follow_all: must be true or false"),
        ('{"eu": {"api_budget": "9"}}', "app 'eu': api_budget: must be requests/seconds"),
        ('{"eu": {"base_url": "ftp://x"}}', "app 'eu': base_url: must be a URL that begins with"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(path: Path, content: str, fault: str) -> None:
    assert any(fault in line for line in faults_of(path, content))


def test_a_missing_file_stops_the_start() -> None:
    with pytest.raises(WrongSettings, match="WORKER_APPS_FILE: the file /not/there cannot be read"):
        Settings.from_env({"WORKER_APPS_FILE": "/not/there"})


def test_no_fault_repeats_a_token(path: Path) -> None:
    wrong = EU | {"api_token": "open sesame", "follow_all": "open"}
    assert "sesame" not in str(faults_of(path, {"eu": wrong}))


def test_a_half_set_plain_app_is_refused_with_what_is_missing(path: Path) -> None:
    assert faults_of(path, {"eu": EU}, REALTIMEKIT_APP_ID="plain-app") == [
        "REALTIMEKIT_ACCOUNT_ID: is required",
        "REALTIMEKIT_API_TOKEN: is required; set it or REALTIMEKIT_API_TOKEN_FILE",
    ]


def test_two_apps_with_one_name_and_one_app_with_two_names_are_faults(path: Path) -> None:
    faults = faults_of(path, {"default": EU, "eu": EU, "us": EU}, **PLAIN)
    assert [fault.removeprefix("WORKER_APPS_FILE: ") for fault in faults] == [
        "app 'default' is also the app of the plain REALTIMEKIT variables; rename it",
        "apps 'eu' and 'us' have the same account_id and app_id; remove one of them",
    ]


def test_a_token_follows_the_file_that_it_comes_from(path: Path, tmp_path: Path) -> None:
    (tmp_path / "us-token").write_text("us-token\n")
    us = {"account_id": "a", "app_id": "us", "api_token_file": str(tmp_path / "us-token")}
    apps = by_name(read(path, {"eu": EU, "us": us}))
    path.write_text(json.dumps({"eu": EU | {"api_token": "eu-token-2"}}))
    (tmp_path / "us-token").write_text("us-token-2\n")
    assert apps["eu"].api_token.refresh()
    assert apps["us"].api_token.refresh()
    assert apps["eu"].api_token.reveal() == "eu-token-2"
    assert apps["us"].api_token.reveal() == "us-token-2"


@pytest.mark.parametrize(
    "content", ["{", '{"us": {}}', '{"eu": 7}', '{"eu": {"api_token": "a b"}}']
)
def test_the_last_good_token_stays_when_the_file_becomes_wrong(path: Path, content: str) -> None:
    (app,) = read(path, {"eu": EU}).apps
    path.write_text(content)
    assert not app.api_token.refresh()
    assert app.api_token.reveal() == "eu-token"


def test_every_token_is_a_sensitive_text_and_is_never_printed(path: Path) -> None:
    settings = read(path, {"eu": EU}, **PLAIN)
    assert {"eu-token", "plain-token"} <= set(settings.sensitive_texts()())
    assert "eu-token" not in repr(settings)
    assert "eu-token" not in repr(settings.apps)
