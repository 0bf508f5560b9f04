"""OTEL_ variables that cannot be used: each causes a warning and is left out.

Clusters set these variables for all their programs, in every language. Therefore none of them stops
the start. A variable that this worker or OpenTelemetry's SDK cannot use is left out of the
environment before either reads it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from worker.domain.escaping import is_utf8
from worker.settings.otel_checks import (
    BATCH_SIZE,
    CHECKS,
    HEADERS,
    IGNORED,
    NO_TRACES,
    QUEUE_SIZE,
)
from worker.settings.parsing import otlp_headers
from worker.settings.secret import read_text

EXPORTER: Final = "OTEL_TRACES_EXPORTER"
HEADERS_FILE: Final = f"{HEADERS}_FILE"

_DEFAULT_QUEUE_SIZE: Final = 2_048
_DEFAULT_BATCH_SIZE: Final = 512


class OtelWarning(NamedTuple):
    """A variable that cannot be used: the fault, and the consequence."""

    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


class UsableEnvironment(NamedTuple):
    """The environment without the variables `unusable`. Traces may have been turned off in it."""

    environ: dict[str, str]
    unusable: frozenset[str]
    warnings: tuple[OtelWarning, ...]


def usable_environment(environ: Mapping[str, str]) -> UsableEnvironment:
    """Leave out the OTEL_ variables that cannot be used. Each has a warning, without secrets."""
    usable = dict(environ)
    warnings = [
        *_check_encoding(usable),
        *_check_values(usable),
        *_check_headers_file(usable),
        *_check_batches(usable),
        *_check_parts(usable),
    ]
    warnings += _choose_exporter(usable)
    is_off = any(warning.reason.endswith(NO_TRACES) for warning in warnings)
    if is_off or usable.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        usable[EXPORTER] = "none"
    unusable = frozenset(environ) - frozenset(usable)
    return UsableEnvironment(usable, unusable, tuple(warnings))


def _check_encoding(environ: dict[str, str]) -> list[OtelWarning]:
    names = [name for name, text in environ.items() if not is_utf8(text)]
    warnings = []
    for variable in names:
        if variable.startswith("OTEL_"):
            del environ[variable]
            _, instead = CHECKS.get(variable, (None, IGNORED))
            reason = f"has bytes that are not UTF-8 text: {instead}"
            warnings.append(OtelWarning(variable, reason))
    return warnings


def _check_values(environ: dict[str, str]) -> list[OtelWarning]:
    warnings = []
    for variable, (check, instead) in CHECKS.items():
        if not (text := environ.get(variable, "").strip()):
            environ.pop(variable, None)  # blank counts as not set
            continue
        try:
            check(text)
        except ValueError as error:
            del environ[variable]
            # A variable for traces alone has priority over the one for all signals.
            own = variable.replace("_OTLP_", "_OTLP_TRACES_")
            warnings.append(
                OtelWarning(variable, f"{error}: {IGNORED if environ.get(own) else instead}")
            )
    return warnings


def _check_headers_file(environ: dict[str, str]) -> list[OtelWarning]:
    path = environ.get(HEADERS_FILE)
    if not path:
        return []
    if environ.get(HEADERS):
        del environ[HEADERS_FILE]
        return [OtelWarning(HEADERS_FILE, f"{HEADERS} is set as well: {IGNORED}")]
    try:
        otlp_headers(read_text(Path(path)))
    except ValueError as error:
        del environ[HEADERS_FILE]
        return [OtelWarning(HEADERS_FILE, f"{error}: {NO_TRACES}")]
    return []


def _check_batches(environ: dict[str, str]) -> list[OtelWarning]:
    """A batch must fit into the queue."""
    queue = int(environ.get(QUEUE_SIZE, "").strip() or _DEFAULT_QUEUE_SIZE)
    batch = int(environ.get(BATCH_SIZE, "").strip() or _DEFAULT_BATCH_SIZE)
    if batch <= queue:
        return []
    reason = f"batches of {batch} do not fit into a queue of {queue}: {IGNORED}"
    names = [name for name in (QUEUE_SIZE, BATCH_SIZE) if environ.pop(name, None) is not None]
    return [OtelWarning(name, reason) for name in names]


def _check_parts(environ: Mapping[str, str]) -> list[OtelWarning]:
    variable = "OTEL_RESOURCE_ATTRIBUTES"
    parts = [part.strip() for part in environ.get(variable, "").split(",") if part.strip()]
    if all(part.partition("=")[0].strip() and "=" in part for part in parts):
        return []
    reason = "must be `name=value`, separated by commas: other entries are ignored"
    return [OtelWarning(variable, reason)]


def _choose_exporter(environ: dict[str, str]) -> list[OtelWarning]:
    names = [name.strip().lower() for name in environ.get(EXPORTER, "").split(",") if name.strip()]
    others = [name for name in names if name not in {"otlp", "none"}]
    environ.pop(EXPORTER, None)
    if names:
        environ[EXPORTER] = "otlp" if "otlp" in names else "none"
    if not others:
        return []
    instead = "only otlp is used" if "otlp" in names else NO_TRACES
    return [
        OtelWarning(EXPORTER, f"supports only otlp and none, not {', '.join(others)}: {instead}")
    ]
