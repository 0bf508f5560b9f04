"""Reads the file of configured apps, and describes one app as the worker serves it.

One app comes from the plain REALTIMEKIT variables, more come from WORKER_APPS_FILE.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.settings.json_files import MAX_SHOWN, decode_object
from worker.settings.parsing import Parser, http_url, identifier, rates, switch, token
from worker.settings.proxies import NO_PROXIES, Proxies
from worker.settings.secret import Secret, read_text

MAX_APPS: Final = 100

_APP_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
_TEXT_FIELDS: Final[Mapping[str, Parser]] = {
    "account_id": identifier,
    "app_id": identifier,
    "base_url": http_url,
    "webhook_key_url": http_url,
    "api_budget": rates,
    "public_url": http_url,
}
_REQUIRED: Final = ("account_id", "app_id")
_TOKEN_FIELDS: Final = ("api_token", "api_token_file")
_FIELDS: Final = frozenset({*_TEXT_FIELDS, *_TOKEN_FIELDS, "follow_all"})

JsonParser = Callable[[object], object]


class AppEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One app as the file has it. None means: use the plain variable."""

    name: str
    account_id: str
    app_id: str
    api_token: Secret
    base_url: str | None = None
    webhook_key_url: str | None = None
    api_budget: tuple[Rate, ...] | None = None
    follow_all: bool | None = None
    public_url: str | None = None


class AppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one app. Commands select the app by its `name`."""

    name: str
    account_id: str
    app_id: str
    api_token: Secret
    base_url: str
    webhook_key_url: str
    api_budget: tuple[Rate, ...]
    follow_all: bool
    public_url: str | None
    proxies: Proxies = NO_PROXIES


class AppsFile(Sequence[AppEntry]):
    """The apps of a file. Its repr shows their names only.

    A token follows the file that it comes from: this one, or the one that `api_token_file` names.
    Everything else stays as it was at the start.
    """

    def __init__(self, entries: Iterable[AppEntry]) -> None:
        self._entries = tuple(entries)

    @classmethod
    def from_file(cls, path: Path) -> "AppsFile":
        """Read and check the file at `path`.

        Raises:
            WrongSettings: lists every fault. Each names the app and the field.
        """
        try:
            apps = _read_apps(path)
        except ValueError as error:
            raise WrongSettings([str(error)]) from None
        entries: list[AppEntry] = []
        faults: list[str] = []
        for name, fields in apps.items():
            try:
                entries.append(_parse_entry(path, name, fields))
            except WrongSettings as error:
                faults += error.faults
        if faults:
            raise WrongSettings([f"the file {path}: {fault}" for fault in faults])
        return cls(entries)

    def sensitive_texts(self) -> Iterator[str]:
        """Every token in the file or named by it, for removal from logs."""
        for entry in self:
            yield from entry.api_token.recent_texts()

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an entry, or a slice of them
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"AppsFile({', '.join(entry.name for entry in self)})"


def conflicts_between(apps: Sequence[AppSettings]) -> list[str]:
    """The faults of these apps together: the same name for two apps, or two names for one app."""
    names: set[str] = set()
    names_by_identity: dict[tuple[str, str, str], str] = {}
    faults = []
    for app in apps:
        if app.name in names:
            faults.append(
                f"app {app.name!r} is also the app of the plain REALTIMEKIT variables; rename it"
            )
            continue
        names.add(app.name)
        identity = (app.base_url, app.account_id, app.app_id)
        if (other := names_by_identity.setdefault(identity, app.name)) != app.name:
            faults.append(
                f"apps {other!r} and {app.name!r} have the same account_id and app_id; "
                "remove one of them"
            )
    return faults


def _read_apps(path: Path) -> dict[str, object]:
    text = read_text(path)
    try:
        return _decode_apps(text)
    except ValueError as error:
        raise ValueError(f"the file {path} {error}") from None


def _decode_apps(text: str) -> dict[str, object]:
    expected = "must hold a JSON object that maps app names to their fields"
    apps = decode_object(text, expected)
    if not apps:
        raise ValueError(expected)
    if len(apps) > MAX_APPS:
        raise ValueError(f"must hold at most {MAX_APPS} apps, not {len(apps)}")
    return apps


def _parse_entry(path: Path, name: str, fields: object) -> AppEntry:
    """Parse one app. Raises WrongSettings with every fault of it."""
    faults = []
    if not _APP_NAME.fullmatch(name):
        faults.append(f"app name {name[:MAX_SHOWN]!r} must be 1 to 64 of a-z, 0-9 and -")
    if not isinstance(fields, dict):
        raise WrongSettings([*faults, f"app {name[:MAX_SHOWN]!r}: must be an object"])
    values, value_faults = _parse_fields(_field_parsers(path, name), fields)
    value_faults += _missing_and_unknown(fields)
    faults += [f"app {name[:MAX_SHOWN]!r}: {fault}" for fault in value_faults]
    if faults:
        raise WrongSettings(faults)
    values["api_token"] = values.pop("api_token_file", None) or values["api_token"]
    return AppEntry(name=name, **cast("dict[str, Any]", values))


def _parse_fields(
    parsers: Mapping[str, JsonParser], fields: Mapping[str, object]
) -> tuple[dict[str, object], list[str]]:
    values: dict[str, object] = {}
    faults = []
    for field, parse in parsers.items():
        if field in fields:
            try:
                values[field] = parse(fields[field])
            except ValueError as error:
                faults.append(f"{field}: {error}")
    return values, faults


def _field_parsers(path: Path, app_name: str) -> dict[str, JsonParser]:
    """The parser of each field's JSON value. They raise ValueError and never show a token."""
    return {
        **{field: _text_parser(parse) for field, parse in _TEXT_FIELDS.items()},
        "follow_all": _parse_switch,
        "api_token": _text_parser(lambda _: _token_inside(path, app_name)),
        "api_token_file": _text_parser(lambda text: Secret.from_file(Path(text), accept=token)),
    }


def _missing_and_unknown(fields: Mapping[str, object]) -> Iterator[str]:
    for field in _REQUIRED:
        if field not in fields:
            yield f"{field}: is required"
    token_fields = [field for field in _TOKEN_FIELDS if field in fields]
    if not token_fields:
        yield "api_token: is required; set it or api_token_file"
    if len(token_fields) > 1:
        yield "api_token: is set together with api_token_file; remove one of them"
    for field in sorted(fields.keys() - _FIELDS):
        yield f"{field[:MAX_SHOWN]}: is not a field of an app; remove it"


def _text_parser(parse: Callable[[str], object]) -> JsonParser:
    def parse_text(value: object) -> object:
        if not isinstance(value, str) or not value:
            raise ValueError("must be a text that is not empty")
        return parse(value)

    return parse_text


def _parse_switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return switch(value)
    raise ValueError("must be true or false")


def _token_inside(path: Path, app_name: str) -> Secret:
    """The app's token inside the apps file. It follows changes of that file."""

    def pick_token(text: str) -> str:
        fields = _decode_apps(text).get(app_name)
        found = fields.get("api_token") if isinstance(fields, dict) else None
        if not isinstance(found, str) or not found:
            raise ValueError(f"no longer has an api_token for app {app_name!r}")
        return found

    return Secret.from_file(path, accept=token, pick=pick_token)
