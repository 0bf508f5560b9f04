"""Reads a settings struct from environment variables and reports every fault at once."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from worker.domain.errors import WrongSettings
from worker.domain.escaping import is_utf8
from worker.settings.parsing import Parser
from worker.settings.secret import Secret

# Kubernetes puts these into every pod if there is a service named `worker` or `worker-…`.
_SERVICE_LINK_NAME = re.compile(
    r"WORKER_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
Built = TypeVar("Built", bound=msgspec.Struct)

OWN_FAMILIES: Final = ("AMQP_", "DATABASE_", "HTTP_", "LOG_", "REALTIMEKIT_")
"""Settings with these prefixes also belong to this worker, as those with `WORKER_` do."""

MISSPELT_FROM: Final = 0.86
"""Names with at least this similarity count as misspelt. HTTP_PROXY and HTTP_PORT are below it."""
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class Variable(msgspec.Struct, frozen=True):
    """One environment variable, as the metadata of the field that it fills.

    `default` is written as in the environment. Without a default the field is None, or the
    variable is `required`. `unless` names another variable: when that one is set, all required
    variables with the same `unless` may be left out together. A `secret` variable may also come
    from the file that NAME_FILE names; its field is a `Secret`.
    """

    name: str
    parse: Parser
    meaning: str
    default: str | None = None
    required: bool = False
    unless: str | None = None
    secret: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable that fills the field."""
        return (self.name, f"{self.name}_FILE") if self.secret else (self.name,)

    def read(self, environ: Mapping[str, str], *, may_be_missing: bool = False) -> object:
        """The value for the field. An empty variable counts as not set.

        Raises:
            ValueError: begins with the name of the variable and says what to change.
        """
        text = environ.get(self.name) or None
        path = self._file_path(environ)
        if text and path:
            raise ValueError(
                f"{self.name}: is set together with {self.name}_FILE; remove one of them"
            )
        if path:
            return self._from_file(Path(path))
        text = text or self.default
        if text is not None:
            if not is_utf8(text):
                raise ValueError(f"{self.name}: has bytes that are not UTF-8 text")
            return self._from_text(text.strip())
        if self.required and not may_be_missing:
            hint = f"; set it or {self.name}_FILE" if self.secret else ""
            raise ValueError(f"{self.name}: is required{hint}")
        return None

    def is_set(self, environ: Mapping[str, str]) -> bool:
        """Whether the environment has the variable, or names a file for it."""
        return bool(environ.get(self.name) or self._file_path(environ))

    def _file_path(self, environ: Mapping[str, str]) -> str | None:
        return environ.get(f"{self.name}_FILE") if self.secret else None

    def _from_file(self, path: Path) -> Secret:
        try:
            return Secret.from_file(path, accept=self.parse)
        except ValueError as error:
            raise ValueError(f"{self.name}_FILE: {error}") from None

    def _from_text(self, text: str) -> object:
        try:
            value = self.parse(text)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        return Secret(text) if self.secret else value


def variables_of(settings: type[msgspec.Struct]) -> dict[str, Variable]:
    """Maps field names to variables, in the order of the fields; a base's fields come first.

    A field that is itself a struct of settings is a group and is replaced by its own fields.
    """
    found: dict[str, Variable] = {}
    for field, hint in _hints(settings).items():
        if _is_group(hint):
            found |= variables_of(hint)
        elif get_origin(hint) is Annotated:
            found[field] = next(item for item in get_args(hint) if isinstance(item, Variable))
    return found


def build(settings: type[Built], values: Mapping[str, object]) -> Built:
    """The settings struct with these values by field name, including those of its groups."""
    fields = {
        field: build(hint, values) if _is_group(hint) else values[field]
        for field, hint in _hints(settings).items()
    }
    return settings(**fields)


@cache
def _hints(settings: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The fields and their annotations. To evaluate those takes long."""
    return get_type_hints(settings, include_extras=True)


def _is_group(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def read_fields(
    variables: Mapping[str, Variable], environ: Mapping[str, str], *, known_names: frozenset[str]
) -> dict[str, object]:
    """Maps field names to values. `known_names` are the variables that any settings struct reads.

    Raises:
        WrongSettings: lists every fault, every `WORKER_` variable that is no setting, and every
            variable that looks like a misspelling of a setting without a value.
    """
    unset = [variable.name for variable in variables.values() if not variable.is_set(environ)]
    faults = [
        *_unknown_variables(environ, known_names),
        *_misspelt_variables(environ, unset, known_names),
    ]
    values: dict[str, object] = {}
    for field, variable in variables.items():
        may_be_missing = _may_be_missing(variable, variables, environ)
        try:
            values[field] = variable.read(environ, may_be_missing=may_be_missing)
        except ValueError as error:
            faults.append(str(error))
        except WrongSettings as error:
            faults += [f"{variable.name}: {fault}" for fault in error.faults]
    if faults:
        raise WrongSettings(faults)
    return values


def _may_be_missing(
    variable: Variable, variables: Mapping[str, Variable], environ: Mapping[str, str]
) -> bool:
    if variable.unless is None or not environ.get(variable.unless):
        return False
    group = [other for other in variables.values() if other.unless == variable.unless]
    return not any(alternative.is_set(environ) for alternative in group)


def _unknown_variables(environ: Mapping[str, str], known_names: frozenset[str]) -> Iterator[str]:
    for name, value in sorted(environ.items()):
        if not name.startswith("WORKER_") or name in known_names or _is_service_link(name, value):
            continue
        closest = _closest(name, known_names)
        hint = f"did you mean {closest}?" if closest else "remove it"
        yield f"{name}: is not a setting; {hint}"


def _misspelt_variables(
    environ: Mapping[str, str], unset: Iterable[str], known_names: frozenset[str]
) -> Iterator[str]:
    """Only a setting without a value may be meant. Other variables belong to other programs."""
    names = [name for name in unset if name.startswith(OWN_FAMILIES)]
    for name in sorted(environ.keys() - known_names):
        for closest in difflib.get_close_matches(name, names, n=1, cutoff=MISSPELT_FROM):
            yield f"{name}: is not a setting; did you mean {closest}?"


def _closest(name: str, known_names: frozenset[str]) -> str | None:
    # Compared without the common prefix, because all names that begin alike resemble each other.
    endings = [
        known.removeprefix("WORKER_") for known in known_names if known.startswith("WORKER_")
    ]
    matches = difflib.get_close_matches(name.removeprefix("WORKER_"), endings, n=1)
    return f"WORKER_{matches[0]}" if matches else None


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK_NAME.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None
