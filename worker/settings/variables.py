"""How a settings struct is read from environment variables."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec

from worker.domain.errors import WrongSettings
from worker.settings.parsing import Parser
from worker.settings.secret import Secret

# A Kubernetes service called `worker`, or `worker-…`, brings these into every pod beside it.
_SERVICE_LINK = re.compile(
    r"WORKER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Variable(msgspec.Struct, frozen=True):
    """One environment variable: the metadata of the field that it fills.

    `default` is written as in the environment; None means that there is none and that the field
    is None, unless the variable is `required`; but all that name one variable in `unless` may be
    left out together where that one is set. A `secret` one may also come from the file that
    NAME_FILE names, and its field is a `Secret`.
    """

    name: str
    parse: Parser
    meaning: str
    default: str | None = None
    required: bool = False
    unless: str | None = None
    secret: bool = False

    def read(self, environ: Mapping[str, str], *, excused: bool = False) -> object:
        """The field's value. An empty variable counts as not set; `excused`, it may be.

        Raises:
            ValueError: what is wrong, beginning with the name of the variable to change.
        """
        given = environ.get(self.name) or None
        path = environ.get(f"{self.name}_FILE") if self.secret else None
        if given and path:
            raise ValueError(f"{self.name}: is set, and so is {self.name}_FILE; keep one of them")
        if path:
            return self._from_file(Path(path))
        text = given or self.default
        if text is None and self.required and not excused:
            other = f" (or {self.name}_FILE)" if self.secret else ""
            raise ValueError(f"{self.name}: is required{other}")
        return None if text is None else self._from_text(text.strip())

    def is_given(self, environ: Mapping[str, str]) -> bool:
        """Whether the environment sets it, or names a file for it."""
        return bool(environ.get(self.name) or (self.secret and environ.get(f"{self.name}_FILE")))

    def _from_file(self, path: Path) -> Secret:
        try:
            return Secret.from_file(path, accept=self.parse)
        except ValueError as wrong:
            raise ValueError(f"{self.name}_FILE: {wrong}") from None

    def _from_text(self, text: str) -> object:
        try:
            value = self.parse(text)
        except ValueError as wrong:
            raise ValueError(f"{self.name}: {wrong}") from None
        return Secret(text) if self.secret else value


def variables_of(settings: type[msgspec.Struct]) -> dict[str, Variable]:
    """Field name to variable, in the order of the fields; a base's fields come first."""
    return {
        field: next(each for each in get_args(hint) if isinstance(each, Variable))
        for field, hint in get_type_hints(settings, include_extras=True).items()
        if get_origin(hint) is Annotated
    }


def read_fields(
    variables: Mapping[str, Variable], environ: Mapping[str, str], *, known: frozenset[str]
) -> dict[str, object]:
    """Field name to value. `known` are the names of all variables that any struct reads.

    Raises:
        WrongSettings: with every fault there is, also that of a misspelt `WORKER_` variable.
    """
    faults = [f"{name}: {hint}" for name, hint in _unknown(environ, known)]
    values: dict[str, object] = {}
    for field, variable in variables.items():
        try:
            values[field] = variable.read(
                environ, excused=_is_excused(variable, variables, environ)
            )
        except ValueError as wrong:
            faults.append(str(wrong))
        except WrongSettings as wrong:
            faults += [f"{variable.name}: {fault}" for fault in wrong.faults]
    if faults:
        raise WrongSettings(faults)
    return values


def _is_excused(
    variable: Variable, variables: Mapping[str, Variable], environ: Mapping[str, str]
) -> bool:
    if variable.unless is None or not environ.get(variable.unless):
        return False
    together = [each for each in variables.values() if each.unless == variable.unless]
    return not any(each.is_given(environ) for each in together)


def _unknown(environ: Mapping[str, str], known: frozenset[str]) -> list[tuple[str, str]]:
    found = []
    for name, value in sorted(environ.items()):
        if not name.startswith("WORKER_") or name in known or _is_service_link(name, value):
            continue
        hint = _closest(name, known)
        found.append((name, f"is not a setting; {hint} is" if hint else "is not a setting"))
    return found


def _closest(name: str, known: frozenset[str]) -> str | None:
    # Compared without what they all begin with, else everything would resemble everything.
    rests = [each.removeprefix("WORKER_") for each in known if each.startswith("WORKER_")]
    close = difflib.get_close_matches(name.removeprefix("WORKER_"), rests, n=1)
    return f"WORKER_{close[0]}" if close else None


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None
