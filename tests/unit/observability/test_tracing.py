"""How tracing is enabled, and its cost when it is disabled."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any
from unittest import TestCase
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from worker.observability.trace_exporter import open_tracing
from worker.observability.tracing import NO_TRACING, trace_id_of
from worker.settings.otel import usable_environment
from worker.settings.settings import Settings

REQUIRED = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token-of-the-api",
}
COLLECTOR = "http://127.0.0.1:4318"


def settings(**more: str) -> Settings:
    return Settings.from_env({**REQUIRED, **more})


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, f"{COLLECTOR}/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{COLLECTOR}/"}, f"{COLLECTOR}/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{COLLECTOR}/mine"}, f"{COLLECTOR}/mine"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_traces_go_to_the_configured_collector_only(
    variables: Mapping[str, str], url: str | None
) -> None:
    assert settings(**variables).traces_url == url


def test_headers_for_the_collector_are_secret() -> None:
    loaded = settings(OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic-c2VjcmV0")
    assert "c2VjcmV0" not in repr(loaded)
    assert any("c2VjcmV0" in text for text in loaded.sensitive_texts()())


@pytest.mark.parametrize(
    "text",
    [
        "sesame-street",
        "x-key=good,sesame-street",
        "authorization: Bearer sesame-street",
        'x-key="sesame-street"',
        "x-key=good;sesame-street",
        "x key=sesame-street",
        "x-key=sesame%0D%0Astreet",
        "x-key=sesame%C3%A9street",
        "=sesame-street",
        "x-key=sesame-street,",
    ],
)
def test_headers_that_cannot_be_sent_are_refused_and_not_repeated(text: str) -> None:
    (warning,) = usable_environment({"OTEL_EXPORTER_OTLP_HEADERS": text}).warnings
    assert str(warning).startswith("OTEL_EXPORTER_OTLP_HEADERS: must be")
    assert "sesame" not in str(warning)
    assert settings(OTEL_EXPORTER_OTLP_HEADERS=text).otlp_headers is None


@given(st.text(st.sampled_from('aB1-=, %2;:\\"é\n\t'), max_size=20))
@example("authorization=Bearer sesame-street,x-key=good, z=1")
def test_accepted_headers_are_all_sent_and_none_is_logged(text: str) -> None:
    headers = settings(OTEL_EXPORTER_OTLP_HEADERS=text).otlp_headers
    if headers is None:
        return
    with TestCase().assertNoLogs("opentelemetry.util.re"):
        read = parse_env_headers(headers.reveal(), liberal=True)
    names = {header.partition("=")[0].strip().lower() for header in headers.reveal().split(",")}
    assert len(read) == len({unquote(name).strip() for name in names})


def test_opentelemetry_is_not_imported_without_a_collector() -> None:
    loaded = (
        "import sys, worker.app, worker.bootstrap;"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_without_the_packages_the_worker_starts_and_names_the_extra_that_has_them() -> None:
    opened = opened_with("import sys; sys.modules['opentelemetry'] = None")
    assert "worker.observability.tracing.Tracing" in opened
    assert "needs the extra `tracing`" in opened


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "unknown"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9" * 30),
    ],
)
def test_a_variable_that_only_the_sdk_refuses_is_named_and_traces_continue(
    variable: str, text: str
) -> None:
    opened = opened_with(f"import os; os.environ[{variable!r}] = {text!r}")
    assert "OtlpTracing" in opened
    assert f"variable={variable}" in opened


def opened_with(statement: str) -> str:
    """The log lines and the result of opening the exporter, in a separate process."""
    program = (
        f"{statement}\n"
        "from worker.observability.trace_exporter import open_tracing\n"
        f"print(type(open_tracing({COLLECTOR!r}, version='1', instance='i')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_without_a_collector_headers_are_passed_on_and_nothing_is_recorded() -> None:
    headers = {"traceparent": "whatever", "baggage": "tenant=blue"}
    with NO_TRACING.span("process", "consumer", parent=headers, attributes={}) as span:
        span.set_attributes({"code": "x"})
        span.set_error("x")
    assert span.headers == headers
    assert open_tracing(settings().traces_url, version="1", instance="i").is_enabled is False


@pytest.mark.parametrize(
    ("headers", "trace_id"),
    [
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "a" * 32),
        ({"traceparent": f"cc-{'a' * 32}-{'b' * 16}-01-what-is-to-come"}, "a" * 32),
        ({"traceparent": "00-x-y-01"}, None),
        ({}, None),
    ],
)
def test_log_lines_name_the_trace_of_well_formed_headers(
    headers: dict[str, Any], trace_id: str | None
) -> None:
    assert trace_id_of(headers) == trace_id
