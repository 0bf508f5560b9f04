"""The table of all settings. Each field declares its environment variable.

A field is named after its variable, without `WORKER_` and in lower case: `lease_seconds` is
`WORKER_LEASE_SECONDS`. Its `Variable` has the name, the parser, the meaning and the default.
docs/reference/settings.md shows the same table.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec

from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.settings.amqp_url import amqp_url
from worker.settings.apps import AppSettings, AppsFile, conflicts_between
from worker.settings.archive import ArchiveSettings
from worker.settings.authorities import certificate_directory, certificate_file
from worker.settings.database_url import database_url
from worker.settings.otel import usable_environment
from worker.settings.parsing import (
    OneOf,
    Seconds,
    WholeNumber,
    console_token,
    host,
    http_url,
    identifier,
    increasing_seconds,
    matching,
    otlp_headers,
    participant_check,
    prefix_of_names,
    rates,
    regular_expression,
    storage_profiles,
    switch,
    token,
    trace_link,
)
from worker.settings.proxies import Proxies, proxy_url, with_upper_case_proxies
from worker.settings.secret import Secret, sensitive_parts
from worker.settings.storage_profiles import StorageProfiles
from worker.settings.variables import Variable, build, read_fields, variables_of

_HOUR = 3_600.0
_DAY = 24 * _HOUR
_APPS_FILE = "WORKER_APPS_FILE"


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that every command needs: broker, database, logs, HTTP server and names."""

    # Broker and database
    amqp_url: Annotated[
        Secret,
        Variable(
            "AMQP_URL",
            amqp_url,
            "URL of the RabbitMQ broker. Separate several hosts of one cluster by commas.",
            default="amqp://guest:guest@127.0.0.1:5672/",
            secret=True,
        ),
    ]
    database_url: Annotated[
        Secret,
        Variable(
            "DATABASE_URL",
            database_url,
            "URL of the database that holds the state. An SQLite file serves one replica. Several "
            "replicas need `postgresql://…`, with the hosts and options of libpq.",
            default="sqlite:///recording-worker.db",
            secret=True,
        ),
    ]
    database_pooler: Annotated[
        Literal["none", "transaction"],
        Variable(
            "WORKER_DATABASE_POOLER",
            OneOf("none", "transaction"),
            "Set `transaction` if PgBouncer, or another pooler that shares sessions, is between "
            "the worker and PostgreSQL.",
            default="none",
        ),
    ]

    # Logs
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Variable(
            "LOG_LEVEL",
            OneOf("debug", "info", "warning", "error"),
            "Lowest level that is logged: `debug`, `info`, `warning` or `error`.",
            default="info",
        ),
    ]
    log_format: Annotated[
        Literal["json", "console"] | None,
        Variable(
            "LOG_FORMAT",
            OneOf("json", "console"),
            "`json` or `console`. If not set: `console` on a terminal, `json` elsewhere.",
        ),
    ]

    # HTTP server
    http_host: Annotated[
        str,
        Variable(
            "HTTP_HOST",
            host,
            "Address to listen on for probes, metrics and webhooks. The default is every IPv4 and "
            "IPv6 address, because Kubernetes probes come from outside the pod. `0.0.0.0` is IPv4 "
            "only.",
            default="::",
        ),
    ]
    http_port: Annotated[
        int,
        Variable(
            "HTTP_PORT",
            WholeNumber(0, 65_535, "a TCP port"),
            "Port for probes, metrics and webhooks. 0 selects a free port.",
            default="8080",
        ),
    ]

    # Exchanges, queues and messages
    name_prefix: Annotated[
        str,
        Variable(
            "WORKER_NAME_PREFIX",
            prefix_of_names,
            "Prefix of all exchange and queue names, such as `<prefix>.commands`.",
            default="recording",
        ),
    ]
    topology: Annotated[
        Literal["declare", "verify"],
        Variable(
            "WORKER_TOPOLOGY",
            OneOf("declare", "verify"),
            "`declare` creates missing exchanges and queues. `verify` only checks them.",
            default="declare",
        ),
    ]
    retry_delays_seconds: Annotated[
        tuple[float, ...],
        Variable(
            "WORKER_RETRY_DELAYS_SECONDS",
            increasing_seconds(10, 0.01, _DAY),
            "Delays between the attempts of a command, at most 10, each longer than the one "
            "before. Each delay has a retry queue. The last delay repeats.",
            default="5,30,120,600",
        ),
    ]
    publish_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_PUBLISH_TIMEOUT_SECONDS",
            Seconds(0.1, 300),
            "How long the worker waits for the broker to confirm a message.",
            default="10",
        ),
    ]
    max_command_bytes: Annotated[
        int,
        Variable(
            "WORKER_MAX_COMMAND_BYTES",
            WholeNumber(1_024, 134_217_728, "bytes"),
            "Size limit of a command body, both compressed and decompressed. The worker refuses a "
            "larger body without parsing it.",
            default="1048576",
        ),
    ]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read these settings from `environ`, and the files that it names.

        Raises:
            WrongSettings: lists every fault. Each begins with the name of its variable.
        """
        # A variable that only `run` reads is not a misspelt one for the other commands.
        known_names = frozenset(name for variable in all_variables() for name in variable.names)
        return build(cls, read_fields(variables_of(cls), environ, known_names=known_names))

    def sensitive_texts(self) -> Callable[[], Iterator[str]]:
        """A function that yields every text that must not appear in a log, as of each call.

        A call does no I/O, except when the file of storage profiles is due for a check.
        """
        values = [getattr(self, field) for field in self.__struct_fields__]
        secrets = [value for value in values if isinstance(value, Secret)]
        files = [value for value in values if isinstance(value, StorageProfiles | AppsFile)]

        def texts() -> Iterator[str]:
            for secret in secrets:
                yield from chain.from_iterable(map(sensitive_parts, secret.recent_texts()))
            for file in files:
                yield from file.sensitive_texts()

        return texts


class ConsoleSettings(CommonSettings, frozen=True, kw_only=True):
    """The settings of `recording-worker console`."""

    console_token: Annotated[
        Secret | None,
        Variable(
            "WORKER_CONSOLE_TOKEN",
            console_token,
            "Token that permits actions in the console, and reading from other machines. At least "
            "16 printable ASCII characters. Only `recording-worker console` reads it.",
            secret=True,
        ),
    ]
    console_trace_url: Annotated[
        str | None,
        Variable(
            "WORKER_CONSOLE_TRACE_URL",
            trace_link,
            "Address of a trace in your tracing system, with `{trace_id}` in it. The console links "
            "to it. Only `recording-worker console` reads it.",
        ),
    ]


class Settings(CommonSettings, frozen=True, kw_only=True):
    """All settings of `recording-worker run`. Durations are in seconds."""

    # Recording API
    account_id: Annotated[
        str | None,
        Variable(
            "REALTIMEKIT_ACCOUNT_ID",
            identifier,
            "Id of the Cloudflare account.",
            required=True,
            unless=_APPS_FILE,
        ),
    ]
    app_id: Annotated[
        str | None,
        Variable(
            "REALTIMEKIT_APP_ID",
            identifier,
            "Id of the RealtimeKit app.",
            required=True,
            unless=_APPS_FILE,
        ),
    ]
    api_token: Annotated[
        Secret | None,
        Variable(
            "REALTIMEKIT_API_TOKEN",
            token,
            "API token with the permission Realtime or Realtime Admin.",
            required=True,
            unless=_APPS_FILE,
            secret=True,
        ),
    ]
    base_url: Annotated[
        str,
        Variable(
            "REALTIMEKIT_BASE_URL",
            http_url,
            "Base URL of the API.",
            default="https://api.cloudflare.com/client/v4",
        ),
    ]
    webhook_key_url: Annotated[
        str,
        Variable(
            "REALTIMEKIT_WEBHOOK_KEY_URL",
            http_url,
            "URL of the public key that verifies the signatures of webhooks.",
            default="https://api.realtime.cloudflare.com/.well-known/webhooks.json",
        ),
    ]

    # Proxies and certificate authorities of the API
    https_proxy: Annotated[
        Secret | None,
        Variable(
            "HTTPS_PROXY",
            proxy_url,
            "HTTP proxy for requests to the API and for the webhook key. For this and the next two "
            "variables, the lower-case name has priority.",
        ),
    ]
    all_proxy: Annotated[
        Secret | None,
        Variable("ALL_PROXY", proxy_url, "Proxy to use if `HTTPS_PROXY` is not set."),
    ]
    no_proxy: Annotated[
        str,
        Variable(
            "NO_PROXY",
            str,
            "Hosts to reach without a proxy, separated by commas: a name (with all its "
            "subdomains), an address, a network such as `10.0.0.0/8`, or `*`.",
            default="",
        ),
    ]
    ssl_cert_file: Annotated[
        str | None,
        Variable(
            "SSL_CERT_FILE",
            certificate_file,
            "PEM file with the certificate authorities to trust for the API, for a proxy and for "
            "webhook keys. If not set: those of `SSL_CERT_DIR`, else those of the package certifi.",
        ),
    ]
    ssl_cert_dir: Annotated[
        str | None,
        Variable(
            "SSL_CERT_DIR",
            certificate_directory,
            "Directories of such PEM files, named by their hashes (`openssl rehash`).",
        ),
    ]

    # Commands and events
    source: Annotated[
        str,
        Variable(
            "WORKER_SOURCE",
            matching(r"[\x21-\x7e]{1,256}", "1 to 256 printable ASCII characters without spaces"),
            "`source` attribute of the published CloudEvents.",
            default="recording-worker",
        ),
    ]
    prefetch: Annotated[
        int,
        Variable(
            "WORKER_PREFETCH",
            WholeNumber(1, 2_000, "commands"),
            "How many commands a replica executes at the same time.",
            default="500",
        ),
    ]
    reply_to: Annotated[
        str,
        Variable(
            "WORKER_REPLY_TO",
            regular_expression,
            "Regular expression for the queues that may receive replies. As in RabbitMQ's "
            "permissions, it may match anywhere in the name unless `^` and `$` anchor it. By "
            "default any queue may. A reply to any other queue, or to a queue of the worker "
            "itself, is not sent.",
            default="",
        ),
    ]

    # Requests to the API
    api_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_API_TIMEOUT_SECONDS",
            Seconds(0.1, 300),
            "How long one request to the API may take. It is limited to three quarters of "
            "`WORKER_LEASE_SECONDS`.",
            default="10",
        ),
    ]
    api_retry_seconds: Annotated[
        float,
        Variable(
            "WORKER_API_RETRY_SECONDS",
            Seconds(0, 300),
            "How long the worker repeats one request, all attempts together. Then the command goes "
            "to a retry queue.",
            default="20",
        ),
    ]
    api_budget: Annotated[
        tuple[Rate, ...],
        Variable(
            "WORKER_API_BUDGET",
            rates,
            "Maximum number of requests that all replicas together send to the API, as "
            "requests/seconds. All windows apply at the same time.",
            default="1200/300,1000/50",
        ),
    ]

    # Time limits of commands
    command_max_age_seconds: Annotated[
        float,
        Variable(
            "WORKER_COMMAND_MAX_AGE_SECONDS",
            Seconds(1, 30 * _DAY),
            "Age at which a command that could not be executed ends as `failed`.",
            default="3600",
        ),
    ]
    stop_wait_seconds: Annotated[
        float,
        Variable(
            "WORKER_STOP_WAIT_SECONDS",
            Seconds(0, _DAY),
            "How long a stop, pause or resume without a deadline waits for its start, and for a "
            "status in which the API can do it.",
            default="300",
        ),
    ]
    session_wait_seconds: Annotated[
        float,
        Variable(
            "WORKER_SESSION_WAIT_SECONDS",
            Seconds(1, 30 * _DAY),
            "How long a start with `wait_for_session` waits for the session of its meeting. Then "
            "it ends as `failed` with the code `no_session`.",
            default="86400",
        ),
    ]
    reconcile_seconds: Annotated[
        float,
        Variable(
            "WORKER_RECONCILE_SECONDS",
            Seconds(0, _HOUR),
            "How long the API may take to show a recording after a start got no answer. The worker "
            "repeats the start only after this time.",
            default="30",
        ),
    ]
    lease_seconds: Annotated[
        float,
        Variable(
            "WORKER_LEASE_SECONDS",
            Seconds(0.5, _HOUR),
            "How long a replica waits before it takes over the work of a replica that is frozen, "
            "or that died behind a pooler. Without a pooler, the work of a replica that died is "
            "taken over within seconds.",
            default="60",
        ),
    ]

    # Tracking of recordings
    sweep_interval_seconds: Annotated[
        float,
        Variable(
            "WORKER_SWEEP_INTERVAL_SECONDS",
            Seconds(0.05, _HOUR),
            "Interval between two reads of the list of live recordings. It grows if the list is "
            "long and `WORKER_API_BUDGET` is small.",
            default="10",
        ),
    ]
    audit_interval_seconds: Annotated[
        float,
        Variable(
            "WORKER_AUDIT_INTERVAL_SECONDS",
            Seconds(0.05, _HOUR),
            "Interval between two reads of that list while webhooks report every change.",
            default="120",
        ),
    ]
    invoked_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_INVOKED_TIMEOUT_SECONDS",
            Seconds(0.1, _DAY),
            "How long a recording may stay INVOKED. Then the worker stops it, if the worker "
            "started it. If the stop has no effect, it ends as ERRORED with the code `stalled`.",
            default="120",
        ),
    ]
    uploading_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_UPLOADING_TIMEOUT_SECONDS",
            Seconds(0.1, 7 * _DAY),
            "How long a recording may stay UPLOADING. Then it ends as ERRORED with the code "
            "`stalled`.",
            default="7200",
        ),
    ]
    recording_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_RECORDING_TIMEOUT_SECONDS",
            Seconds(0.1, 30 * _DAY),
            "How long a recording may last. Then the worker stops it, if the worker started it. If "
            "it still does not end, it ends as ERRORED with the code `stalled`.",
            default="90000",
        ),
    ]
    files_wait_seconds: Annotated[
        float,
        Variable(
            "WORKER_FILES_WAIT_SECONDS",
            Seconds(0, _DAY),
            "How long the worker waits for files after UPLOADED. The recording completes earlier "
            "if each file has its URL and each expected stay has a file. After this time it "
            "completes with the files that exist.",
            default="120",
        ),
    ]
    files_settle_seconds: Annotated[
        float,
        Variable(
            "WORKER_FILES_SETTLE_SECONDS",
            Seconds(0, _DAY),
            "If a file of an expected stay is missing, the recording completes when two reads, "
            "this many seconds apart, show the same files.",
            default="10",
        ),
    ]
    files_late_seconds: Annotated[
        float,
        Variable(
            "WORKER_FILES_LATE_SECONDS",
            Seconds(0, 7 * _DAY),
            "If a recording has completed without an expected file, the worker reads it a last "
            "time this many seconds later.",
            default="3600",
        ),
    ]

    # Copies of the files
    archive: ArchiveSettings

    # Retention and shutdown
    keep_sent_seconds: Annotated[
        float,
        Variable(
            "WORKER_KEEP_SENT_SECONDS",
            Seconds(0, 3_650 * _DAY),
            "How long the database keeps an event after the broker has confirmed it. The event can "
            "be replayed during this time.",
            default="604800",
        ),
    ]
    keep_finished_seconds: Annotated[
        float,
        Variable(
            "WORKER_KEEP_FINISHED_SECONDS",
            Seconds(1, 3_650 * _DAY),
            "How long the database keeps a command or a recording after its end. A repeated "
            "command is recognised during this time. Must exceed `WORKER_COMMAND_MAX_AGE_SECONDS` "
            "plus the longest of `WORKER_RETRY_DELAYS_SECONDS`.",
            default="2592000",
        ),
    ]
    shutdown_seconds: Annotated[
        float,
        Variable(
            "WORKER_SHUTDOWN_SECONDS",
            Seconds(0.1, _HOUR),
            "How long the worker may take to stop after SIGTERM, in addition to "
            "`WORKER_SHUTDOWN_DELAY_SECONDS`.",
            default="30",
        ),
    ]
    shutdown_delay_seconds: Annotated[
        float,
        Variable(
            "WORKER_SHUTDOWN_DELAY_SECONDS",
            Seconds(0, _HOUR),
            "How long the worker still answers webhooks after SIGTERM. `/readyz` fails meanwhile, "
            "so that load balancers send webhooks to other workers. Commands do not wait for it.",
            default="0",
        ),
    ]

    # Whom to record
    participant_check: Annotated[
        Literal["reject", "off"],
        Variable(
            "WORKER_PARTICIPANT_CHECK",
            participant_check,
            "`reject` refuses a track start if one of its `user_ids` belongs to no participant of "
            "the meeting. `off` sends such ids unchecked. `custom_participant_ids` are always "
            "checked.",
            default="reject",
        ),
    ]

    # Recordings of others, and webhooks
    follow_all: Annotated[
        bool,
        Variable(
            "WORKER_FOLLOW_ALL",
            switch,
            "`on` also publishes the events of recordings that other services started.",
            default="off",
        ),
    ]
    public_url: Annotated[
        str | None,
        Variable(
            "WORKER_PUBLIC_URL",
            http_url,
            "URL where the API can reach this worker. If it is set, the worker registers its "
            "webhook at the start.",
        ),
    ]

    # Traces
    otlp_endpoint: Annotated[
        str | None,
        Variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            http_url,
            "URL of the OpenTelemetry collector that receives traces, such as "
            "`http://collector:4318`. If not set, no traces are exported.",
        ),
    ]
    otlp_traces_endpoint: Annotated[
        str | None,
        Variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            http_url,
            "Complete URL for traces, with `/v1/traces`. It replaces the URL derived from "
            "`OTEL_EXPORTER_OTLP_ENDPOINT`.",
        ),
    ]
    otlp_headers: Annotated[
        Secret | None,
        Variable(
            "OTEL_EXPORTER_OTLP_HEADERS",
            otlp_headers,
            "HTTP headers for the collector: `name=value`, separated by commas.",
            secret=True,
        ),
    ]
    otlp_protocol: Annotated[
        Literal["http/protobuf"],
        Variable(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            OneOf("http/protobuf"),
            "Protocol of the collector. With any other protocol no traces are exported.",
            default="http/protobuf",
        ),
    ]
    traces_exporter: Annotated[
        Literal["otlp", "none"],
        Variable(
            "OTEL_TRACES_EXPORTER",
            OneOf("otlp", "none"),
            "`none` turns traces off, even if a collector is set. With any other exporter no "
            "traces are exported, and the log has a warning.",
            default="otlp",
        ),
    ]

    # Files with apps and storage profiles
    apps_file: Annotated[
        AppsFile | None,
        Variable(
            _APPS_FILE,
            lambda path: AppsFile.from_file(Path(path)),
            "Path of a JSON file with some or all of the apps: an object that maps the name of an "
            "app to its fields.",
        ),
    ]
    storage_profiles: Annotated[
        StorageProfiles | None,
        Variable(
            "WORKER_STORAGE_PROFILES_FILE",
            storage_profiles,
            "Path of a JSON file: an object that maps the name of a storage profile to its "
            "`storage_config`. The worker reads it again when it changes.",
        ),
    ]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read these settings from `environ`, and the files that it names.

        OTEL_ variables that cannot be used are left out (`otel.usable_environment`).

        Raises:
            WrongSettings: lists every fault. Each begins with the name of its variable.
        """
        usable = usable_environment(environ).environ
        settings = super().from_env(with_upper_case_proxies(usable))
        faults = [f"{_APPS_FILE}: {conflict}" for conflict in conflicts_between(settings.apps)]
        longest_life = settings.command_max_age_seconds + settings.retry_delays_seconds[-1]
        if settings.keep_finished_seconds <= longest_life:
            faults.append(
                "WORKER_KEEP_FINISHED_SECONDS: must exceed WORKER_COMMAND_MAX_AGE_SECONDS plus the "
                "longest of WORKER_RETRY_DELAYS_SECONDS; otherwise a command could be pruned "
                "before its last attempt"
            )
        faults += settings.archive.faults()
        if faults:
            raise WrongSettings(faults)
        return settings

    @property
    def apps(self) -> tuple[AppSettings, ...]:
        """The apps to serve, at least one, each with a unique name.

        The plain variables make the app `default`. They also supply fields that the apps file
        leaves out.
        """
        plain = () if self.api_token is None else (self._app(name="default"),)
        entries = map(msgspec.structs.asdict, self.apps_file or ())
        return (*plain, *(self._app(**entry) for entry in entries))

    @property
    def proxies(self) -> Proxies:
        """The proxies that lead to the API."""
        return Proxies(https=self.https_proxy, all=self.all_proxy, exceptions=self.no_proxy)

    @property
    def traces_url(self) -> str | None:
        """The URL that traces are exported to; None when they are off."""
        if self.traces_exporter == "none":
            return None
        shared_endpoint = self.otlp_endpoint and f"{self.otlp_endpoint}/v1/traces"
        return self.otlp_traces_endpoint or shared_endpoint

    def _app(self, **entry: Any) -> AppSettings:  # noqa: ANN401 - fields of different types
        names = AppSettings.__struct_fields__
        fields: dict[str, Any] = {name: getattr(self, name, None) for name in names}
        fields |= {name: value for name, value in entry.items() if value is not None}
        return AppSettings(**fields)


def all_variables() -> tuple[Variable, ...]:
    """Every setting, in the order of docs/reference/settings.md."""
    return tuple((variables_of(Settings) | variables_of(ConsoleSettings)).values())
