"""Settings from environment variables, and the faults of wrong ones."""

import typing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.helm.certificates import Authority
from worker.domain.errors import WrongSettings
from worker.domain.hosts import IMPOSSIBLE_HOST
from worker.domain.rate import Rate
from worker.settings.amqp_url import SYNTAX as AMQP_SYNTAX
from worker.settings.parsing import Seconds, WholeNumber
from worker.settings.settings import CommonSettings, ConsoleSettings, Settings, all_variables
from worker.settings.variables import Variable, variables_of

REQUIRED = {
    "REALTIMEKIT_ACCOUNT_ID": "acc0",
    "REALTIMEKIT_APP_ID": "97440c6a-140b-40a9-9499-b23fd7a3868a",
    "REALTIMEKIT_API_TOKEN": "t0ken-of-the-account",
}


def faults_of(**changes: str) -> tuple[str, ...]:
    with pytest.raises(WrongSettings) as raised:
        Settings.from_env(REQUIRED | changes)
    return raised.value.faults


def settings_with(**changes: str) -> Settings:
    return Settings.from_env(REQUIRED | changes)


def test_three_variables_are_enough_to_run() -> None:
    read = settings_with()

    assert read.account_id == "acc0"
    assert read.api_token is not None
    assert read.api_token.reveal() == "t0ken-of-the-account"
    assert read.amqp_url.reveal() == "amqp://guest:guest@127.0.0.1:5672/"
    assert list(read.retry_delays_seconds) == [5, 30, 120, 600]
    assert list(read.api_budget) == [Rate(1200, 300), Rate(1000, 50)]


def test_the_command_line_tools_need_no_variable() -> None:
    assert CommonSettings.from_env({}).name_prefix == "recording"


def has_type(value: object, hint: Any) -> bool:
    inner: tuple[Any, ...] = typing.get_args(hint)
    origin: Any = getattr(hint, "__origin__", None)
    if origin is None:
        return isinstance(value, hint)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, tuple) and all(has_type(item, inner[0]) for item in value)
    return any(has_type(value, option) for option in inner)


def test_finished_commands_must_be_kept_longer_than_the_last_attempt() -> None:
    limits = {"WORKER_COMMAND_MAX_AGE_SECONDS": "100", "WORKER_RETRY_DELAYS_SECONDS": "5,20"}
    (fault,) = faults_of(**limits, WORKER_KEEP_FINISHED_SECONDS="120")
    assert fault.startswith("WORKER_KEEP_FINISHED_SECONDS: must exceed WORKER_COMMAND_MAX_AGE_")
    assert (
        settings_with(**limits, WORKER_KEEP_FINISHED_SECONDS="120.5").keep_finished_seconds == 120.5
    )


def test_every_default_has_the_type_of_its_field() -> None:
    read = settings_with()
    for field, hint in typing.get_type_hints(Settings).items():
        if not field.startswith("__"):
            assert has_type(getattr(read, field), hint), field


def test_every_fault_is_listed_at_once_by_the_name_of_its_variable() -> None:
    with pytest.raises(WrongSettings) as raised:
        Settings.from_env({"WORKER_PREFETCH": "many", "HTTP_PORT": "70000", "WORKER_TOPOLOGY": "x"})

    assert [fault.partition(":")[0] for fault in raised.value.faults] == [
        "HTTP_PORT",
        "WORKER_TOPOLOGY",
        "REALTIMEKIT_ACCOUNT_ID",
        "REALTIMEKIT_APP_ID",
        "REALTIMEKIT_API_TOKEN",
        "WORKER_PREFETCH",
    ]


@pytest.mark.parametrize(
    ("variable", "text", "fault"),
    [
        ("WORKER_PREFETCH", "0", "must be a whole number of commands from 1 to 2000, not '0'"),
        ("WORKER_PREFETCH", "1e3", "must be a whole number of commands from 1 to 2000, not '1e3'"),
        (
            "WORKER_API_TIMEOUT_SECONDS",
            "soon",
            "must be a number of seconds from 0.1 to 300, not 'soon'",
        ),
        (
            "WORKER_API_TIMEOUT_SECONDS",
            "nan",
            "must be a number of seconds from 0.1 to 300, not 'nan'",
        ),
        (
            "WORKER_API_TIMEOUT_SECONDS",
            "301",
            "must be a number of seconds from 0.1 to 300, not '301'",
        ),
        (
            "WORKER_KEEP_FINISHED_SECONDS",
            "0",
            "must be a number of seconds from 1 to 315360000, not '0'",
        ),
        ("WORKER_RETRY_DELAYS_SECONDS", "5,5", "must increase from number to number, not '5,5'"),
        (
            "WORKER_RETRY_DELAYS_SECONDS",
            "5,,9",
            "must be a number of seconds from 0.01 to 86400, not ''",
        ),
        (
            "WORKER_RETRY_DELAYS_SECONDS",
            ",".join(map(str, range(1, 12))),
            "must have at most 10 numbers, not 11",
        ),
        (
            "WORKER_API_BUDGET",
            "1200",
            "must be requests/seconds, as in 1200/300,1000/50, not '1200'",
        ),
        (
            "WORKER_API_BUDGET",
            "0/10",
            "must be requests/seconds, as in 1200/300,1000/50, not '0/10'",
        ),
        ("WORKER_PARTICIPANT_CHECK", "on", "must be one of reject, off, not 'on'"),
        ("WORKER_FOLLOW_ALL", "maybe", "must be on or off, not 'maybe'"),
        ("WORKER_REPLY_TO", "*", "must be a regular expression: nothing to repeat at position 0"),
        ("LOG_LEVEL", "loud", "must be one of debug, info, warning, error, not 'loud'"),
        (
            "WORKER_NAME_PREFIX",
            "a b",
            "must be 1 to 64 letters, digits, `.`, `-` and `_`, not 'a b'",
        ),
        *(
            (
                "WORKER_NAME_PREFIX",
                reserved,
                "must not begin with `amq.`: RabbitMQ keeps such names for itself",
            )
            for reserved in ("amq", "amq.recording")
        ),
        (
            "REALTIMEKIT_BASE_URL",
            "ftp://here",
            "must be a URL that begins with https:// or http:// and names a host",
        ),
        (
            "REALTIMEKIT_BASE_URL",
            "https://me:pw@here",
            "must be a URL without query, fragment, user name and password",
        ),
        ("REALTIMEKIT_ACCOUNT_ID", "a/b", "must be 1 to 64 letters, digits, - and _, not 'a/b'"),
        ("REALTIMEKIT_API_TOKEN", "two words", "must be printable ASCII without spaces"),
        (
            "AMQP_URL",
            "http://guest:sesame@host",
            AMQP_SYNTAX,
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_it_must_be(
    variable: str, text: str, fault: str
) -> None:
    assert faults_of(**{variable: text}) == (f"{variable}: {fault}",)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/db",
        "sqlite://file.db",
        "sqlite:///",
        "postgresql://host",
        "state.db",
        "sqlite:/x",
    ],
)
def test_a_database_url_of_neither_engine_is_refused(url: str) -> None:
    (fault,) = faults_of(DATABASE_URL=url)
    assert fault.startswith("DATABASE_URL: must be sqlite:///relative.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a.db",
        "sqlite:////a/b.db",
        "postgresql://u:p@h:1/db",
        "postgres://u:p@h/db",
        "postgresql://u:p@one:5432,two,[::1]:5433/db?target_session_attrs=read-write",
        "postgresql://u:p%40%2F@h/db?sslmode=verify-full&sslrootcert=%2Fca.pem",
        "postgresql:///db?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/db",
        "postgresql://u@h/?dbname=db",
        "postgresql://u@one,two/db?port=5432",
        "postgresql://u@one,two/db?hostaddr=10.0.0.1,10.0.0.2&port=5432,5433",
        "postgresql://u@/db?hostaddr=10.0.0.1,10.0.0.2&port=5432,5433",
        "postgresql://h/db?options=-csearch_path%3Dblue&application_name=x&load_balance_hosts=random",
    ],
)
def test_database_urls_of_both_engines_are_accepted(url: str) -> None:
    assert settings_with(DATABASE_URL=url).database_url.reveal() == url


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ("pool_size=5", "has the option pool_size, which libpq does not know"),
        ("sslmod=require", "has the option sslmod, which libpq does not know"),
        ("sslmode=maybe", 'has an option that libpq refuses: invalid sslmode value: "maybe"'),
        (
            "target_session_attrs=writer",
            'has an option that libpq refuses: invalid target_session_attrs value: "writer"',
        ),
        ("connect_timeout=soon", "has the option connect_timeout, which must be a whole number"),
        ("tcp_user_timeout=1s", "has the option tcp_user_timeout, which must be a whole number"),
        ("port=70000", 'has an option that libpq refuses: invalid port number: "70000"'),
        ("port=5432,0", 'has an option that libpq refuses: invalid port number: "0"'),
        (
            "port=1,2,3",
            "has an option that libpq refuses: could not match 3 port numbers to 2 hosts",
        ),
        ("hostaddr=10.0.0.1", "has 2 hosts in host, but 1 in hostaddr"),
    ],
)
def test_an_option_that_libpq_would_refuse_is_a_fault_at_once(option: str, fault: str) -> None:
    faults = faults_of(DATABASE_URL=f"postgresql://u:sesame@one,two/db?{option}")
    assert faults == (f"DATABASE_URL: {fault}",)


def test_a_database_in_memory_is_refused_because_it_does_not_last() -> None:
    (fault,) = faults_of(DATABASE_URL="sqlite:///:memory:")
    assert fault == "DATABASE_URL: must name a file, because a database in memory does not last"


def test_a_file_name_of_sqlite_has_no_nul() -> None:
    (fault,) = faults_of(DATABASE_URL="sqlite:////var/state%00.db")
    assert fault == "DATABASE_URL: has %00, which no file name can have"


def test_an_sqlite_file_takes_no_options() -> None:
    (fault,) = faults_of(DATABASE_URL="sqlite:///a.db?mode=ro")
    assert fault == "DATABASE_URL: has options after `?`, but an SQLite file takes none"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:ses/ame@h/db",
        "postgresql://u:ses?ame@h/db",
        "postgresql://u:ses%zzame@h/db",
        "postgresql://u:sesame@h:port/db",
        "postgresql://u:sesame@h:65536/db",
        "postgresql://u:sesame@[::1/db",
        "postgresql://u:sesame@h/db?sesame",
    ],
)
def test_a_fault_of_a_postgresql_url_repeats_no_part_of_it(url: str) -> None:
    (fault,) = faults_of(DATABASE_URL=url)
    assert fault.startswith("DATABASE_URL: must be sqlite:///relative.db")
    assert "ses" not in fault.replace("session", "")


def test_passwords_in_the_options_of_a_url_are_sensitive_texts() -> None:
    url = "postgresql://u@one,two/db?password=open%20sesame&sslpassword=hush"
    texts = set(settings_with(DATABASE_URL=url).sensitive_texts()())
    assert {"open%20sesame", "open sesame", "hush"} <= texts


def test_a_fault_never_shows_a_password() -> None:
    # The standard library takes the text after a slash in a password for a port.
    assert "sesame" not in "".join(faults_of(AMQP_URL="amqp://guest:ses/ame@h:5672/"))
    assert "ses" not in "".join(faults_of(AMQP_URL="amqp://guest:ses/ame@h:5672/"))
    assert "sesame" not in "".join(faults_of(REALTIMEKIT_API_TOKEN="open sesame"))  # noqa: S106


def test_an_unreadable_certificate_is_a_fault_that_names_the_file(tmp_path: Path) -> None:
    missing = tmp_path / "key.pem"
    fault = f"must name a keyfile that can be read, not {missing}: No such file or directory"
    url = f"amqps://guest:sesame@h/?keyfile={missing}"
    assert faults_of(AMQP_URL=url) == (f"AMQP_URL: {fault}",)


def test_certificate_files_that_tls_cannot_use_are_a_fault_that_names_them(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca").write_text(authority.certificate)
    for name in ("one", "two"):
        pair = authority.pair(name)
        (tmp_path / f"{name}.crt").write_text(pair.certificate)
        (tmp_path / f"{name}.key").write_text(pair.key)

    def faults(**files: str) -> tuple[str, ...]:
        query = "&".join(f"{name}={tmp_path / file}" for name, file in files.items())
        return faults_of(AMQP_URL=f"amqps://guest:sesame@h/?{query}")

    good = {"certfile": "one.crt", "keyfile": "one.key"}
    files = "&".join(f"{name}={tmp_path / file}" for name, file in good.items())
    url = f"amqps://guest:sesame@h/?cafile={tmp_path / 'ca'}&{files}"
    assert settings_with(AMQP_URL=url).amqp_url.reveal() == url
    no_authority = f"AMQP_URL: must name a cafile of PEM certificates, not {tmp_path / 'one.key'}"
    assert faults(cafile="one.key") == (no_authority,)
    alone = "AMQP_URL: must name a certfile when it names a keyfile"
    assert faults(keyfile="one.key") == (alone,)
    for wrong in ({"keyfile": "two.key"}, {"keyfile": "one.crt"}, {"certfile": "one.key"}):
        (fault,) = faults(**{**good, **wrong})
        assert "a certfile of a PEM certificate and a keyfile with its key" in fault
        assert str(tmp_path / next(iter(wrong.values()))) in fault
    (fault,) = faults(certfile="one.crt")
    assert fault.endswith("one.crt and nothing")


def test_a_key_with_a_passphrase_is_a_fault_and_prompts_nobody(tmp_path: Path) -> None:
    pair = Authority().pair("client")
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"sesame"),
    )
    (tmp_path / "client").write_bytes(pair.certificate.encode() + locked)
    (fault,) = faults_of(AMQP_URL=f"amqps://h/?certfile={tmp_path / 'client'}")
    assert "without a passphrase" in fault


@pytest.mark.parametrize(
    "hosts",
    ["a,b", "a:5672,b:5673", "[::1]:5672,127.0.0.1", "a,[2001:db8::1]:5,b:6", "me:x,y%2F@a,b"],
)
def test_the_broker_url_may_name_several_hosts(hosts: str) -> None:
    url = f"amqp://{hosts}/vhost?heartbeat=5"
    assert settings_with(AMQP_URL=url).amqp_url.reveal() == url


@pytest.mark.parametrize(
    "hosts",
    ["a,", ",a", "a,,b", "a:b,c", "a,b:99999", "[::1,b", "a,[b]", "[::1]x,b", "me:se[same@a,b", ""],
)
def test_a_wrong_host_among_several_is_a_fault(hosts: str) -> None:
    assert faults_of(AMQP_URL=f"amqp://{hosts}/") == (f"AMQP_URL: {AMQP_SYNTAX}",)


@pytest.mark.parametrize("query", ["channel_max=5", "heartbeat=10&Heartbeat=1", "hartbeat=", "x"])
def test_a_parameter_of_the_broker_url_that_is_not_known_is_a_fault(query: str) -> None:
    (fault,) = faults_of(AMQP_URL=f"amqp://me:sesame@h/?{query}")
    assert fault.startswith("AMQP_URL: has a parameter after `?` that is none of heartbeat, ")
    assert "sesame" not in fault


@pytest.mark.parametrize("heartbeat", ["0", "-1", "301", "soon", "", "1.5"])
def test_a_heartbeat_that_would_not_notice_a_silent_broker_is_a_fault(heartbeat: str) -> None:
    (fault,) = faults_of(AMQP_URL=f"amqp://h/?heartbeat={heartbeat}")
    assert fault == (
        f"AMQP_URL: must have a heartbeat of 1 to 300 whole seconds, not {heartbeat!r}"
    )


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("amqp://me:ses\\ame@h/", r"must have %5C in place of \ in user and password"),
        ("amqp://h\\x/", AMQP_SYNTAX),
        (
            "amqp://me:sesame@a,me:sesame@b/",
            "must name user and password once, before the first of several hosts",
        ),
        (
            "amqp://me:sesame@a:1,me@b,c/",
            "must name user and password once, before the first of several hosts",
        ),
        (
            "amqp://a,me:sesame@b/",
            (
                "must name user and password before the first of several hosts; "
                "a comma in the user is %2C"
            ),
        ),
        ("amqp://h/team#1", "must have %23 in place of # in the name of the virtual host"),
        ("amqp://h/?heartbeat=5#1", "must have %23 in place of # in the name of the virtual host"),
        (f"amqp://h/{'v' * 256}", "must name a virtual host of at most 255 bytes"),
        (f"amqp://h/{'%C3%A9' * 128}", "must name a virtual host of at most 255 bytes"),
        ("amqp://h/?auth=digest", "must have plain or external as its auth, not 'digest'"),
        ("amqp://h/?auth=", "must have plain or external as its auth, not ''"),
        ("amqps://h/?no_verify_ssl=no", "must have 0 or 1 as its no_verify_ssl, not 'no'"),
        ("amqp://h/?heartbeat=5&heartbeat=7", "has the parameter heartbeat more than once"),
    ],
)
def test_a_broker_url_that_the_library_would_misread_or_end_over_is_a_fault(
    url: str, fault: str
) -> None:
    assert faults_of(AMQP_URL=url) == (f"AMQP_URL: {fault}",)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:ses%5Came@h/team%231?auth=PLAIN",
        "amqp://me:s@me@a/",
        "amqp://team%2Cme:ses,ame@a,b/",
        f"amqp://h/{'%2F' * 255}",
        "amqps://h/?auth=external&no_verify_ssl=1",
    ],
)
def test_a_broker_url_with_escapes_and_parameters_is_taken(url: str) -> None:
    assert settings_with(AMQP_URL=url).amqp_url.reveal() == url


def test_a_certificate_without_tls_is_a_fault() -> None:
    fault = "must begin with amqps:// when it names a cafile"
    assert faults_of(AMQP_URL="amqp://h/?cafile=/ca.pem") == (f"AMQP_URL: {fault}",)


@pytest.mark.parametrize(
    "variable",
    [each for each in all_variables() if isinstance(each.parse, WholeNumber | Seconds)],
    ids=lambda variable: variable.name,
)
def test_a_number_accepts_the_bounds_that_its_error_names(variable: Variable) -> None:
    bounds = variable.parse
    assert isinstance(bounds, WholeNumber | Seconds)

    for bound in (bounds.low, bounds.high):
        assert bounds(f"{bound:.15g}") == bound


@pytest.mark.parametrize(
    "name",
    [each.name for each in variables_of(Settings).values() if not each.name.startswith("OTEL_")],
)
def test_bytes_that_are_not_utf8_are_a_fault_of_their_variable(name: str) -> None:
    in_latin_1 = b"/tmp/gr\xfc\xdfe".decode(errors="surrogateescape")  # as Python reads it
    assert faults_of(**{name: in_latin_1}) == (f"{name}: has bytes that are not UTF-8 text",)


def test_a_misspelt_setting_is_a_fault_that_suggests_the_right_name() -> None:
    assert faults_of(WORKER_PREFECH="3") == (
        "WORKER_PREFECH: is not a setting; did you mean WORKER_PREFETCH?",
    )
    assert faults_of(WORKER_QQQQ="3") == ("WORKER_QQQQ: is not a setting; remove it",)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("DATABASE_URI", "DATABASE_URL"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("HTTP_PORTS", "HTTP_PORT"),
        ("REALTIMEKIT_BASEURL", "REALTIMEKIT_BASE_URL"),
    ],
)
def test_a_name_that_resembles_an_unset_setting_is_a_fault(misspelt: str, meant: str) -> None:
    assert faults_of(**{misspelt: "3"}) == (f"{misspelt}: is not a setting; did you mean {meant}?",)


def test_a_missing_variable_and_its_misspelling_are_both_named() -> None:
    assert faults_of(REALTIMEKIT_ACCOUNT_ID="", REALTIMEKIT_ACCOUNTID="acc0") == (
        "REALTIMEKIT_ACCOUNTID: is not a setting; did you mean REALTIMEKIT_ACCOUNT_ID?",
        "REALTIMEKIT_ACCOUNT_ID: is required",
    )


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "OTEL_LOG_LEVEL",
        "DATABASE_HOST",
        "AMQP_HOST",
        "LOG_FILE",
        "REALTIMEKIT_ORG_ID",
        "PATH",
    ],
)
def test_a_variable_of_another_program_is_ignored(name: str) -> None:
    assert settings_with(**{name: "x"}) is not None


def test_a_name_that_resembles_a_setting_with_a_value_is_ignored() -> None:
    assert settings_with(DATABASE_URL="sqlite:///a.db", DATABASE_URI="b") is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_PORT", "tcp://10.0.0.1:80"),
        ("WORKER_SERVICE_HOST", "10.0.0.1"),
        ("WORKER_METRICS_SERVICE_PORT_HTTP", "80"),
        ("WORKER_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_kubernetes_variables_of_a_service_named_worker_are_ignored(name: str, value: str) -> None:
    assert settings_with(**{name: value}) is not None


def test_a_port_number_is_not_mistaken_for_a_kubernetes_variable() -> None:
    assert faults_of(WORKER_PORT="8080") == ("WORKER_PORT: is not a setting; remove it",)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings_with(WORKER_PREFETCH="", AMQP_URL_FILE="").prefetch == 500


def test_fractions_of_seconds_and_surrounding_white_space_are_allowed() -> None:
    read = settings_with(
        WORKER_SWEEP_INTERVAL_SECONDS=" 0.25 ", WORKER_RETRY_DELAYS_SECONDS="0.5, 2"
    )
    assert (read.sweep_interval_seconds, *read.retry_delays_seconds) == (0.25, 0.5, 2.0)


@pytest.mark.parametrize(
    ("text", "check"),
    [("reject", "reject"), ("OFF", "off"), ("false", "off"), ("", "reject")],
)
def test_the_participant_check_may_be_written_as_yaml_writes_an_off(text: str, check: str) -> None:
    assert settings_with(WORKER_PARTICIPANT_CHECK=text).participant_check == check


def test_a_base_url_may_end_in_a_slash() -> None:
    assert settings_with(REALTIMEKIT_BASE_URL="http://h:1/v4/").base_url == "http://h:1/v4"


@pytest.mark.parametrize("variable", ["AMQP_URL", "DATABASE_URL", "REALTIMEKIT_API_TOKEN"])
def test_a_secret_must_not_be_set_twice(variable: str, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    variables = {variable: "x", f"{variable}_FILE": str(path)}

    assert faults_of(**variables) == (
        f"{variable}: is set together with {variable}_FILE; remove one of them",
    )


def test_a_secret_from_a_file_loses_its_line_end(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("amqp://u:pw@h/\n")

    assert settings_with(AMQP_URL_FILE=str(path)).amqp_url.reveal() == "amqp://u:pw@h/"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 65_537, "is larger than 65536 bytes"),
        (b"http://h:sesame@x", "must be a URL such as"),
    ],
)
def test_a_wrong_secret_file_is_a_fault_that_names_its_variable(
    content: bytes | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "url"
    if content is not None:
        path.write_bytes(content)

    (only,) = faults_of(AMQP_URL_FILE=str(path))

    assert only.startswith(f"AMQP_URL_FILE: the file {path} {fault}")
    assert "sesame" not in only


@pytest.mark.parametrize("path", ["missing.txt", "worker/amqp_url.txt", "/run/secrets/amqp-url"])
def test_a_missing_secret_file_is_named(path: str) -> None:
    (only,) = faults_of(AMQP_URL_FILE=path)

    assert only == f"AMQP_URL_FILE: the file {path} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "path",
    [
        "amqp://me:sesame@h/",
        "amqp://me:sesame@rabbitmq.example.com",
        "sesame",
        "Sesame.txt",
        "sesame.Abc",
        "s" * 300,
        "s" * 300 + ".txt",
        "eyJhbGciOi.eyJzdWIi.sesame",
    ],
)
def test_a_secret_in_place_of_its_file_is_not_shown(path: str) -> None:
    (only,) = faults_of(AMQP_URL_FILE=path)

    assert only.startswith("AMQP_URL_FILE: the file [secure] cannot be read: ")
    assert path not in only
    assert "sesame" not in only


def test_the_repr_of_settings_shows_no_secret() -> None:
    read = settings_with(AMQP_URL="amqp://me:open-sesame@h/")
    assert "sesame" not in f"{read!r} {read}"
    assert "t0ken" not in repr(read)


def test_the_password_inside_a_url_is_a_sensitive_text() -> None:
    texts = set(settings_with(AMQP_URL="amqp://me:open%20sesame@h/").sensitive_texts()())
    assert {"t0ken-of-the-account", "open%20sesame", "open sesame"} <= texts


def test_each_variable_fills_one_field() -> None:
    names = [variable.name for variable in all_variables()]
    assert len(names) == len(set(names))


def test_a_field_is_named_after_its_variable() -> None:
    for field, variable in variables_of(Settings).items():
        name = variable.name.lower().removesuffix("_file")
        assert name.endswith(field.removesuffix("_file"))


URLS = {
    "AMQP_URL": "amqp://u:p@{}/",
    "DATABASE_URL": "postgresql://u:p@{}/state",
    "HTTPS_PROXY": "http://{}",
    "REALTIMEKIT_BASE_URL": "https://{}/client/v4",
    "REALTIMEKIT_WEBHOOK_KEY_URL": "https://{}/keys",
    "WORKER_PUBLIC_URL": "https://{}",
}
"""A URL of each variable that names a host."""


@pytest.mark.parametrize("host", ["broker..svc", ".", "..", f"{'a' * 64}.b", "a." * 127 + "bc"])
@pytest.mark.parametrize("variable", URLS)
def test_a_host_that_cannot_be_looked_up_is_a_fault(variable: str, host: str) -> None:
    """A chart whose value for the namespace is empty makes such names."""
    faults = faults_of(**{variable: URLS[variable].format(host)})
    assert faults == (f"{variable}: {IMPOSSIBLE_HOST}",)


@pytest.mark.parametrize("variable", URLS)
def test_no_host_listens_on_port_0(variable: str) -> None:
    (fault,) = faults_of(**{variable: URLS[variable].format("h:0")})
    assert fault.startswith(f"{variable}: must be ")


@pytest.mark.parametrize("host", ["a..b,c", "c,a..b"])
@pytest.mark.parametrize("variable", ["AMQP_URL", "DATABASE_URL"])
def test_each_of_several_hosts_is_checked(variable: str, host: str) -> None:
    faults = faults_of(**{variable: URLS[variable].format(host)})
    assert faults == (f"{variable}: {IMPOSSIBLE_HOST}",)


def test_a_host_in_an_option_of_the_database_is_checked() -> None:
    (fault,) = faults_of(DATABASE_URL="postgresql:///state?host=a..b")
    assert fault == f"DATABASE_URL: {IMPOSSIBLE_HOST}"


@pytest.mark.parametrize("host", ["broker.svc.cluster.local.", "10.0.0.1", "[::1]", "broker_1"])
@pytest.mark.parametrize("variable", ["AMQP_URL", "DATABASE_URL", "HTTPS_PROXY"])
def test_a_host_that_can_exist_is_taken(variable: str, host: str) -> None:
    settings_with(**{variable: URLS[variable].format(host)})


@pytest.mark.parametrize("url", ["postgresql:///state?host=/run/postgresql", "postgresql:///state"])
def test_a_socket_of_the_database_is_no_host_name(url: str) -> None:
    settings_with(DATABASE_URL=url)


@pytest.mark.parametrize("variable", URLS)
def test_a_delete_character_in_a_url_is_a_fault(variable: str) -> None:
    (fault,) = faults_of(**{variable: URLS[variable].format("h\x7f")})
    assert fault.startswith(f"{variable}: must ")


SECRETS = {
    "AMQP_URL": "amqp://me:sesame@broker/",
    "DATABASE_URL": "postgresql://me:sesame@database/state",
    "REALTIMEKIT_API_TOKEN": "t0ken-of-the-account",
    "WORKER_CONSOLE_TOKEN": "a-token-of-the-console",
}
READ_BY_OPENTELEMETRY = {"OTEL_EXPORTER_OTLP_HEADERS"}


def test_every_secret_setting_is_tested_below() -> None:
    assert {setting.name for setting in all_variables() if setting.secret} == (
        SECRETS.keys() | READ_BY_OPENTELEMETRY
    )


@pytest.mark.parametrize("kind", [CommonSettings, ConsoleSettings, Settings])
@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_come_from_a_file_even_if_a_library_reads_its_variable(
    name: str, kind: type[CommonSettings], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRETS[name])
    others = {other: text for other, text in REQUIRED.items() if other != name}

    read = kind.from_env({**others, f"{name}_FILE": str(tmp_path / "secret")})

    for field, variable in variables_of(kind).items():
        if variable.name == name:
            assert getattr(read, field).reveal() == SECRETS[name]
