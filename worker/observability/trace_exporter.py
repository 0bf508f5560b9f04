"""Opens the exporter of traces, if a collector is configured."""

import os
from collections.abc import Callable

import structlog

from worker.observability.tracing import NO_TRACING, Tracing


def open_tracing(
    url: str | None, headers: str | None = None, *, version: str, instance: str
) -> Tracing:
    """Export traces to the collector at `url`, or nowhere when it is None.

    `headers` are OTLP headers as `name=value,…`. Traces never prevent the start. Without the extra
    `tracing`, or if the SDK refuses a variable, the log has a warning.
    """
    if url is None:
        return NO_TRACING
    try:
        from worker.observability.otlp import OtlpTracing  # takes half a second and ten MB
    except ImportError as missing:
        reason = f"needs the extra `tracing`, which lacks {missing.name}: no traces are exported"
        _warn("OTEL_EXPORTER_OTLP_ENDPOINT", reason)
        return NO_TRACING

    def connect() -> Tracing:
        return OtlpTracing(
            url,
            headers=headers,
            version=version,
            instance=instance,
        )

    try:
        return connect()
    except Exception as error:  # noqa: BLE001 - whatever a variable makes the SDK raise
        return _connect_without_refused_variable(connect) or _give_up(error)


def _connect_without_refused_variable(connect: Callable[[], Tracing]) -> Tracing | None:
    """Leave out the one variable that the SDK refuses. None if it refuses several."""
    for variable in sorted(name for name in os.environ if name.startswith("OTEL_")):
        text = os.environ.pop(variable)
        try:
            tracing = connect()
        except Exception:  # noqa: BLE001 - as above
            os.environ[variable] = text
        else:
            _warn(variable, "OpenTelemetry's SDK refuses the value: it is ignored")
            return tracing
    return None


def _give_up(error: Exception) -> Tracing:
    reason = f"OpenTelemetry's SDK refuses them ({type(error).__name__}): no traces are exported"
    _warn("OTEL_…", reason)
    return NO_TRACING


def _warn(variable: str, reason: str) -> None:
    structlog.get_logger().warning("otel_variable_unusable", variable=variable, reason=reason)
