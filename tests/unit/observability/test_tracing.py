"""What enables tracing, and what it costs when it is disabled."""

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

from worker.domain.errors import WrongSettings
from worker.observability.trace_exporter import open_tracing
from worker.observability.tracing import NO_TRACING, trace_id_of
from worker.settings.settings import Settings

LEAST = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token-of-the-api",
}
COLLECTOR = "http://127.0.0.1:4318"


def settings(**more: str) -> Settings:
    return Settings.from_env({**LEAST, **more})


@pytest.mark.parametrize(
    ("given", "url"),
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
    given: Mapping[str, str], url: str | None
) -> None:
    assert settings(**given).traces_url == url


@pytest.mark.parametrize(
    "given",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_a_wrong_variable_is_named_at_the_start(given: dict[str, str]) -> None:
    with pytest.raises(WrongSettings, match=next(iter(given))):
        settings(**given)


def test_headers_for_the_collector_are_secret() -> None:
    told = settings(OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic-c2VjcmV0")
    assert "c2VjcmV0" not in repr(told)
    assert any("c2VjcmV0" in text for text in told.sensitive_texts()())


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
    with pytest.raises(WrongSettings, match="OTEL_EXPORTER_OTLP_HEADERS: must be") as caught:
        settings(OTEL_EXPORTER_OTLP_HEADERS=text)
    assert "sesame" not in str(caught.value)


@given(st.text(st.sampled_from('aB1-=, %2;:\\"é\n\t'), max_size=20))
@example("authorization=Bearer sesame-street,x-key=good, z=1")
def test_accepted_headers_are_all_sent_and_none_is_logged(text: str) -> None:
    try:
        held = settings(OTEL_EXPORTER_OTLP_HEADERS=text).otlp_headers
    except WrongSettings:
        return
    if held is None:
        return
    with TestCase().assertNoLogs("opentelemetry.util.re"):
        read = parse_env_headers(held.reveal(), liberal=True)
    names = {one.partition("=")[0].strip().lower() for one in held.reveal().split(",")}
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


def test_missing_packages_are_reported_with_the_extra_that_has_them() -> None:
    asked = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from worker.observability.trace_exporter import open_tracing\n"
        "from worker.settings.settings import Settings\n"
        f"given = {LEAST | {'OTEL_EXPORTER_OTLP_ENDPOINT': COLLECTOR}!r}\n"
        "url = Settings.from_env(given).traces_url\n"
        "open_tracing(url, version='1', instance='i')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=False
    )
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: needs the extra `tracing`" in done.stderr


def test_without_a_collector_headers_are_passed_on_and_nothing_is_recorded() -> None:
    came = {"traceparent": "whatever", "baggage": "tenant=blue"}
    with NO_TRACING.span("process", "consumer", parent=came, attributes={}) as span:
        span.set_attributes({"code": "x"})
        span.set_error("x")
    assert span.headers == came
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
