"""Opens the exporter of traces, if a collector is configured."""

from worker.domain.errors import WrongSettings
from worker.observability.tracing import NO_TRACING, Tracing


def open_tracing(
    url: str | None, headers: str | None = None, *, version: str, instance: str
) -> Tracing:
    """Export traces to the collector at `url`, or nowhere when it is None.

    `headers` are OTLP headers as `name=value,…`.

    Raises WrongSettings when the extra `tracing` is not installed or the SDK refuses a variable.
    """
    if url is None:
        return NO_TRACING
    try:
        from worker.observability.otlp import OtlpTracing  # takes half a second and ten MB
    except ImportError as missing:
        raise WrongSettings(
            [f"OTEL_EXPORTER_OTLP_ENDPOINT: needs the extra `tracing`, which lacks {missing.name}"]
        ) from missing
    try:
        return OtlpTracing(
            url,
            headers=headers,
            service_name="recording-worker",
            version=version,
            instance=instance,
        )
    except ValueError as error:
        raise WrongSettings([f"OTEL_…: {error}"]) from error
