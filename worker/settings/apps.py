"""The apps of the recording API that are configured: one by plain variables, more by a file."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.settings.parsing import Parser, http_url, identifier, rates, switch, token
from worker.settings.secret import Secret, read_text

MAX_APPS: Final = 100
_NAME: Final = re.compile(r"[a-z0-9-]{1,64}")
_TEXTS: Final[Mapping[str, Parser]] = {
    "account_id": identifier,
    "app_id": identifier,
    "base_url": http_url,
    "webhook_key_url": http_url,
    "api_budget": rates,
    "public_url": http_url,
}
_REQUIRED: Final = ("account_id", "app_id")
_TOKENS: Final = ("api_token", "api_token_file")
_MEMBERS: Final = (*_REQUIRED, *_TOKENS, *(_TEXTS.keys() - _REQUIRED), "follow_all")


class AppEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One app as the file gives it. None: as the plain variables say."""

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
    """What the worker needs to serve one app. `name` is what commands call it."""

    name: str
    account_id: str
    app_id: str
    api_token: Secret
    base_url: str
    webhook_key_url: str
    api_budget: tuple[Rate, ...]
    follow_all: bool
    public_url: str | None


class AppsFile(Sequence[AppEntry]):
    """The apps of a file. Shows their names only.

    A token follows the file that it comes from, this one or the one that `api_token_file` names;
    everything else is as it was at the start.
    """

    def __init__(self, apps: Iterable[AppEntry]) -> None:
        self._apps = tuple(apps)

    @classmethod
    def from_file(cls, path: Path) -> "AppsFile":
        """Read and check the file at `path`.

        Raises:
            WrongSettings: with every fault there is, each naming the app and the member.
        """
        faults: list[str] = []
        try:
            text = read_text(path)
        except ValueError as wrong:
            raise WrongSettings([str(wrong)]) from None
        try:
            apps = _decoded(text)
        except ValueError as wrong:
            raise WrongSettings([f"the file {path} {wrong}"]) from None
        given = [_given(path, name, members, faults) for name, members in apps.items()]
        if faults:
            raise WrongSettings([f"the file {path}: {fault}" for fault in faults])
        return cls(one for one in given if one is not None)

    def sensitive_texts(self) -> Iterator[str]:
        """Every token it holds or names, to be kept out of logs."""
        for app in self:
            yield from app.api_token.recent_texts()

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an app, or a slice of them
        return self._apps[index]

    def __len__(self) -> int:
        return len(self._apps)

    def __repr__(self) -> str:
        return f"AppsFile({', '.join(app.name for app in self)})"


def conflicts_between(apps: Sequence[AppSettings]) -> list[str]:
    """What is wrong with these apps side by side: two of one name, or one app under two names."""
    names: set[str] = set()
    places: dict[tuple[str, str, str], str] = {}
    faults = []
    for app in apps:
        if app.name in names:
            faults.append(f"app {app.name!r} is also the one of the plain REALTIMEKIT variables")
            continue
        names.add(app.name)
        place = (app.base_url, app.account_id, app.app_id)
        if (other := places.setdefault(place, app.name)) != app.name:
            faults.append(f"apps {other!r} and {app.name!r} have the same account_id and app_id")
    return faults


def _decoded(text: str) -> dict[str, object]:
    wanted = "must hold a JSON object: app name to its members"
    try:
        apps = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as wrong:
        raise ValueError(f"{wanted}; it is no JSON at line {wrong.lineno}") from None
    except RecursionError:
        raise ValueError(wanted) from None
    if not isinstance(apps, dict) or not apps:
        raise ValueError(wanted)
    if len(apps) > MAX_APPS:
        raise ValueError(f"must hold at most {MAX_APPS} apps, not {len(apps)}")
    return apps


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"has {name[:80]!r} twice in one object")
        found[name] = value
    return found


def _given(path: Path, name: str, members: object, faults: list[str]) -> AppEntry | None:
    """One app, or None and what is wrong with it among the faults."""
    before = len(faults)
    if not _NAME.fullmatch(name):
        faults.append(f"app name {name[:80]!r} must be 1 to 64 of a-z, 0-9 and -")
    if not isinstance(members, dict):
        faults.append(f"app {name[:80]!r}: must be an object")
        return None
    read: dict[str, object] = {}
    for member, parse in _parsers(path, name).items():
        if member in members:
            try:
                read[member] = parse(members[member])
            except ValueError as wrong:
                faults.append(f"app {name[:80]!r}: {member}: {wrong}")
    faults.extend(f"app {name[:80]!r}: {fault}" for fault in _missing_and_unknown(members))
    if len(faults) > before:
        return None
    read["api_token"] = read.pop("api_token_file", None) or read["api_token"]
    return AppEntry(name=name, **cast("dict[str, Any]", read))


def _parsers(path: Path, name: str) -> dict[str, Callable[[object], object]]:
    """Each member's, from what JSON has to the value. Raises ValueError; never shows a token."""
    texts = {member: _text(parse) for member, parse in _TEXTS.items()}
    return {
        **texts,
        "follow_all": _on_or_off,
        "api_token": _text(lambda _: _token_inside(path, name)),
        "api_token_file": _text(lambda text: Secret.from_file(Path(text), accept=token)),
    }


def _missing_and_unknown(members: Mapping[str, object]) -> Iterator[str]:
    for member in _REQUIRED:
        if member not in members:
            yield f"{member}: is required"
    given = [member for member in _TOKENS if member in members]
    if not given:
        yield "api_token: is required (or api_token_file)"
    if len(given) > 1:
        yield "api_token: is there, and so is api_token_file; keep one of them"
    for member in sorted(members.keys() - set(_MEMBERS)):
        yield f"{member[:80]}: is not a member of an app"


def _text(parse: Callable[[str], object]) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, str) or not value:
            raise ValueError("must be a text that is not empty")
        return parse(value)

    return read


def _on_or_off(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return switch(value if isinstance(value, str) else "neither")


def _token_inside(path: Path, name: str) -> Secret:
    """The token that the apps' file itself holds for an app, followed as a file of its own is."""

    def pick(text: str) -> str:
        members = _decoded(text).get(name)
        found = members.get("api_token") if isinstance(members, dict) else None
        if not isinstance(found, str) or not found:
            raise ValueError(f"has no api_token for app {name!r} any more")
        return found

    return Secret.from_file(path, accept=token, pick=pick)
