"""The checks of the OTEL_ variables that OpenTelemetry's SDK or this worker reads."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from worker.settings.parsing import OneOf, http_url, otlp_headers

HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
QUEUE_SIZE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"
BATCH_SIZE: Final = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"

NO_TRACES: Final = "no traces are exported"
IGNORED: Final = "it is ignored"

_SAMPLERS: Final = frozenset({"always_on", "always_off", "traceidratio"})


def _whole_above_zero(text: str) -> None:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"must be a whole number above 0, not {text!r}")


def _whole(text: str) -> None:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"must be a whole number, not {text!r}")


def _seconds(text: str) -> None:
    try:
        is_positive = 0 < float(text) < float("inf")
    except ValueError:
        is_positive = False
    if not is_positive:
        raise ValueError(f"must be a number of seconds above 0, not {text!r}")


def _ratio(text: str) -> None:
    try:
        is_ratio = 0 <= float(text) <= 1
    except ValueError:
        is_ratio = False
    if not is_ratio:
        raise ValueError(f"must be a number from 0 to 1, not {text!r}")


def _sampler(text: str) -> None:
    name = text.lower().removeprefix("parentbased_")
    if name not in _SAMPLERS and not entry_points(group="opentelemetry_traces_sampler", name=text):
        raise ValueError(f"{text!r} is not a known sampler")


def _propagators(text: str) -> None:
    if {name.strip().lower() for name in text.split(",")} - {"tracecontext", "baggage"}:
        raise ValueError("only tracecontext and baggage are supported")


def _truth(text: str) -> None:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"must be true or false, not {text!r}")


def _readable_file(text: str) -> None:
    try:
        with Path(text).open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise ValueError(f"{text!r} cannot be read") from error


_Check = Callable[[str], object]
_protocol: Final = OneOf("http/protobuf")

CHECKS: Final[Mapping[str, tuple[_Check, str]]] = {
    "OTEL_SDK_DISABLED": (_truth, IGNORED),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (http_url, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": (http_url, NO_TRACES),
    "OTEL_EXPORTER_OTLP_PROTOCOL": (_protocol, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": (_protocol, NO_TRACES),
    HEADERS: (otlp_headers, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": (otlp_headers, NO_TRACES),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": (_readable_file, NO_TRACES),
    "OTEL_EXPORTER_OTLP_COMPRESSION": (OneOf("none", "gzip", "deflate"), IGNORED),
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": (OneOf("none", "gzip", "deflate"), IGNORED),
    "OTEL_EXPORTER_OTLP_TIMEOUT": (_seconds, IGNORED),
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": (_seconds, IGNORED),
    "OTEL_BSP_SCHEDULE_DELAY": (_whole_above_zero, IGNORED),
    "OTEL_BSP_EXPORT_TIMEOUT": (_whole_above_zero, IGNORED),
    QUEUE_SIZE: (_whole_above_zero, IGNORED),
    BATCH_SIZE: (_whole_above_zero, IGNORED),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": (_whole, IGNORED),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": (_whole, IGNORED),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_SPAN_LINK_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": (_whole, IGNORED),
    "OTEL_TRACES_SAMPLER": (_sampler, IGNORED),
    "OTEL_TRACES_SAMPLER_ARG": (_ratio, IGNORED),
    "OTEL_PROPAGATORS": (_propagators, IGNORED),
}
"""The check of each variable, and the consequence if it fails."""
