"""OTEL_ variables of a whole cluster: with any values, the worker starts and warns."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.settings.otel import usable_environment
from worker.settings.otel_checks import CHECKS
from worker.settings.settings import Settings

COLLECTOR = "http://127.0.0.1:4318"
REQUIRED = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token-of-the-api",
    "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
}

TURN_TRACES_OFF = [
    ("OTEL_TRACES_EXPORTER", "console"),
    ("OTEL_TRACES_EXPORTER", "zipkin"),
    ("OTEL_TRACES_EXPORTER", " jaeger , console"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "sesame"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "sesame"),
    ("OTEL_EXPORTER_OTLP_HEADERS_FILE", "/nowhere"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere"),
]
ARE_IGNORED = [
    ("OTEL_SDK_DISABLED", "1"),
    ("OTEL_TRACES_SAMPLER", "often"),
    ("OTEL_TRACES_SAMPLER_ARG", "half"),
    ("OTEL_TRACES_SAMPLER_ARG", "7"),
    ("OTEL_PROPAGATORS", "b3,jaeger"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
    ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
]
ARE_FINE = [
    ("OTEL_TRACES_EXPORTER", "OTLP"),
    ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
    ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ("OTEL_PROPAGATORS", "tracecontext, baggage"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team=blue, region=eu=1,"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5"),
    ("OTEL_SERVICE_NAME", "anything; goes"),
    ("OTEL_METRICS_EXPORTER", "prometheus"),
]


@pytest.mark.parametrize(("variable", "text"), TURN_TRACES_OFF)
def test_an_unusable_variable_about_the_destination_turns_traces_off(
    variable: str, text: str
) -> None:
    usable = usable_environment({**REQUIRED, variable: text})
    (warning,) = usable.warnings
    assert warning.variable == variable
    assert warning.reason.endswith(": no traces are exported")
    assert "sesame" not in str(warning)
    assert Settings.from_env({**REQUIRED, variable: text}).traces_url is None


@pytest.mark.parametrize(("variable", "text"), ARE_IGNORED)
def test_variables_about_the_export_alone_are_ignored(variable: str, text: str) -> None:
    usable = usable_environment({**REQUIRED, variable: text})
    (warning,) = usable.warnings
    assert (warning.variable, warning.reason[-13:]) == (variable, "it is ignored")
    assert variable in usable.unusable
    assert Settings.from_env({**REQUIRED, variable: text}).traces_url == f"{COLLECTOR}/v1/traces"


@pytest.mark.parametrize(("variable", "text"), ARE_FINE)
def test_a_usable_variable_has_no_warning(variable: str, text: str) -> None:
    usable = usable_environment({**REQUIRED, variable: text})
    assert usable.warnings == ()
    assert Settings.from_env({**REQUIRED, variable: text}).traces_url == f"{COLLECTOR}/v1/traces"


def test_one_exporter_of_several_is_used() -> None:
    environ = {**REQUIRED, "OTEL_TRACES_EXPORTER": "console,otlp"}
    (warning,) = usable_environment(environ).warnings
    assert str(warning) == (
        "OTEL_TRACES_EXPORTER: supports only otlp and none, not console: only otlp is used"
    )
    assert Settings.from_env(environ).traces_url == f"{COLLECTOR}/v1/traces"


def test_attributes_that_are_none_are_named_and_the_others_are_kept() -> None:
    environ = {**REQUIRED, "OTEL_RESOURCE_ATTRIBUTES": "team=blue,oops,=x"}
    usable = usable_environment(environ)
    assert [warning.variable for warning in usable.warnings] == ["OTEL_RESOURCE_ATTRIBUTES"]
    assert usable.unusable == frozenset()


def test_a_variable_for_traces_alone_counts_before_the_one_for_all_signals() -> None:
    environ = {
        **REQUIRED,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{COLLECTOR}/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }
    warnings = usable_environment(environ).warnings
    assert {warning.reason[-13:] for warning in warnings} == {"it is ignored"}
    assert Settings.from_env(environ).traces_url == f"{COLLECTOR}/v1/traces"


@pytest.mark.parametrize("variable", ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"])
def test_bytes_that_are_not_utf8_are_ignored_with_a_warning(variable: str) -> None:
    usable = usable_environment({variable: "room=\udce4"})
    assert usable.environ == {}
    assert [str(warning) for warning in usable.warnings] == [
        f"{variable}: has bytes that are not UTF-8 text: it is ignored"
    ]


def test_a_disabled_sdk_turns_traces_off_without_a_warning() -> None:
    environ = {**REQUIRED, "OTEL_SDK_DISABLED": "True"}
    assert usable_environment(environ).warnings == ()
    assert Settings.from_env(environ).traces_url is None


def test_headers_that_stand_twice_are_named_and_those_of_the_variable_are_used(
    tmp_path: Path,
) -> None:
    file = tmp_path / "headers"
    file.write_text("x-key=of-the-file")
    environ = {
        **REQUIRED,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=of-the-variable",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(file),
    }
    (warning,) = usable_environment(environ).warnings
    assert warning.variable == "OTEL_EXPORTER_OTLP_HEADERS_FILE"
    headers = Settings.from_env(environ).otlp_headers
    assert headers is not None
    assert headers.reveal() == "x-key=of-the-variable"


NAMES = [*CHECKS, "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_EXPORTER"]
TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["9" * 5000, "nan", "-0", "\x00", "=,=", " "])
)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=6))
def test_no_value_of_any_variable_stops_the_start(values: dict[str, str]) -> None:
    usable = usable_environment({**REQUIRED, **values})
    assert usable_environment(usable.environ).environ == usable.environ
    Settings.from_env({**REQUIRED, **values})
