"""Every knob of the worker, read once from the environment.

A long page because it is a table: each field carries its variable with its name, parser, meaning
and default. docs/settings.md shows the same.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec

from worker.domain.errors import WrongSettings
from worker.domain.rate import Rate
from worker.settings.apps import AppSettings, AppsFile, conflicts_between
from worker.settings.parsing import (
    amqp_url,
    choice,
    database_url,
    growing_seconds,
    http_url,
    identifier,
    matching,
    otlp_headers,
    rates,
    seconds,
    storage_profiles,
    switch,
    token,
    whole,
)
from worker.settings.secret import Secret, secret_texts
from worker.settings.storage_profiles import StorageProfiles
from worker.settings.variables import Variable, read_fields, variables_of

_HOUR = 3_600.0
_DAY = 24 * _HOUR
_MORE_APPS = "WORKER_APPS_FILE"


class CommonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every command line tool needs: where the broker and the state are, and the logs."""

    amqp_url: Annotated[
        Secret,
        Variable(
            "AMQP_URL",
            amqp_url,
            "The RabbitMQ broker.",
            "amqp://guest:guest@127.0.0.1:5672/",
            secret=True,
        ),
    ]
    database_url: Annotated[
        Secret,
        Variable(
            "DATABASE_URL",
            database_url,
            "Where the state is kept. An SQLite file serves one replica;"
            " more than one need `postgresql://…`.",
            "sqlite:///recording-worker.db",
            secret=True,
        ),
    ]
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Variable(
            "LOG_LEVEL",
            choice("debug", "info", "warning", "error"),
            "The least important lines to write: debug, info, warning or error.",
            "info",
        ),
    ]
    log_format: Annotated[
        Literal["json", "console"] | None,
        Variable(
            "LOG_FORMAT",
            choice("json", "console"),
            "`json` or `console`. When it is not set: `console` on a terminal, else `json`.",
        ),
    ]
    name_prefix: Annotated[
        str,
        Variable(
            "WORKER_NAME_PREFIX",
            matching(r"[\w.-]{1,64}", "1 to 64 letters, digits, `.`, `-` and `_`"),
            "What the names of all exchanges and queues begin with: `<prefix>.commands` and so on.",
            "recording",
        ),
    ]
    topology: Annotated[
        Literal["declare", "verify"],
        Variable(
            "WORKER_TOPOLOGY",
            choice("declare", "verify"),
            "`declare` makes the exchanges and queues that are missing; `verify` only looks.",
            "declare",
        ),
    ]
    retry_delays_seconds: Annotated[
        tuple[float, ...],
        Variable(
            "WORKER_RETRY_DELAYS_SECONDS",
            growing_seconds(10, 0.01, _DAY),
            "After how long a command is tried again: one retry queue for each step, the last step"
            " over and over. At most 10 steps, each longer than the one before.",
            "5,30,120,600",
        ),
    ]
    publish_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_PUBLISH_TIMEOUT_SECONDS",
            seconds(0.1, 300),
            "How long the broker may take to confirm a message.",
            "10",
        ),
    ]
    max_command_bytes: Annotated[
        int,
        Variable(
            "WORKER_MAX_COMMAND_BYTES",
            whole(1_024, 134_217_728, "bytes"),
            "Larger command bodies are refused unread.",
            "1048576",
        ),
    ]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read these settings from `environ`; files that it names are read too.

        Raises:
            WrongSettings: with every fault there is, each by the name of its variable.
        """
        known = frozenset(each.name for each in variables_of(Settings).values())
        return cls(**read_fields(variables_of(cls), environ, known=known))  # type: ignore[arg-type]

    def sensitive_texts(self) -> Callable[[], Iterator[str]]:
        """What tells every text that no log may show, as of each call; no I/O unless a profile
        file is due."""
        values = [getattr(self, field) for field in self.__struct_fields__]
        secrets = [value for value in values if isinstance(value, Secret)]
        files = [value for value in values if isinstance(value, StorageProfiles | AppsFile)]

        def texts() -> Iterator[str]:
            for secret in secrets:
                yield from chain.from_iterable(map(secret_texts, secret.recent_texts()))
            for file in files:
                yield from file.sensitive_texts()

        return texts


class Settings(CommonSettings, frozen=True, kw_only=True):
    """What the worker itself needs. Durations are seconds."""

    account_id: Annotated[
        str | None,
        Variable(
            "REALTIMEKIT_ACCOUNT_ID",
            identifier,
            "The Cloudflare account's id.",
            required=True,
            unless=_MORE_APPS,
        ),
    ]
    app_id: Annotated[
        str | None,
        Variable(
            "REALTIMEKIT_APP_ID",
            identifier,
            "The RealtimeKit app's id.",
            required=True,
            unless=_MORE_APPS,
        ),
    ]
    api_token: Annotated[
        Secret | None,
        Variable(
            "REALTIMEKIT_API_TOKEN",
            token,
            "An API token with the permission Realtime or Realtime Admin.",
            required=True,
            unless=_MORE_APPS,
            secret=True,
        ),
    ]
    base_url: Annotated[
        str,
        Variable(
            "REALTIMEKIT_BASE_URL",
            http_url,
            "Where the API is.",
            "https://api.cloudflare.com/client/v4",
        ),
    ]
    webhook_key_url: Annotated[
        str,
        Variable(
            "REALTIMEKIT_WEBHOOK_KEY_URL",
            http_url,
            "Where the public key is published that webhooks are checked with.",
            "https://api.realtime.cloudflare.com/.well-known/webhooks.json",
        ),
    ]
    http_host: Annotated[
        str,
        Variable(
            "HTTP_HOST",
            matching(r"[\w.:-]{1,253}", "a host name or an IP address"),
            "The address that probes, metrics and webhooks are served on. The default is every"
            " address, because Kubernetes probes come from outside the pod.",
            "0.0.0.0",  # noqa: S104
        ),
    ]
    http_port: Annotated[
        int,
        Variable(
            "HTTP_PORT",
            whole(0, 65_535, "a TCP port"),
            "The port for them; 0 takes a free one.",
            "8080",
        ),
    ]
    source: Annotated[
        str,
        Variable(
            "WORKER_SOURCE",
            matching(r"[\x21-\x7e]{1,256}", "1 to 256 printable ASCII characters without spaces"),
            "The `source` of the CloudEvents that are published.",
            "recording-worker",
        ),
    ]
    prefetch: Annotated[
        int,
        Variable(
            "WORKER_PREFETCH",
            whole(1, 2_000, "commands"),
            "How many commands are in work at a time.",
            "500",
        ),
    ]
    api_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_API_TIMEOUT_SECONDS",
            seconds(0.1, 300),
            "How long one request to the API may take; at most three quarters of"
            " `WORKER_LEASE_SECONDS`.",
            "10",
        ),
    ]
    api_retry_seconds: Annotated[
        float,
        Variable(
            "WORKER_API_RETRY_SECONDS",
            seconds(0, 300),
            "How long a request is tried again in place, all tries together, before the command"
            " goes to a retry queue.",
            "20",
        ),
    ]
    api_budget: Annotated[
        tuple[Rate, ...],
        Variable(
            "WORKER_API_BUDGET",
            rates,
            "The most requests that all replicas together send to the API, as requests/seconds;"
            " all windows hold at once.",
            "1200/300,1000/50",
        ),
    ]
    command_max_age_seconds: Annotated[
        float,
        Variable(
            "WORKER_COMMAND_MAX_AGE_SECONDS",
            seconds(1, 30 * _DAY),
            "After how long a command that cannot be executed ends as `failed`.",
            "3600",
        ),
    ]
    stop_wait_seconds: Annotated[
        float,
        Variable(
            "WORKER_STOP_WAIT_SECONDS",
            seconds(0, _DAY),
            "How long a stop, pause or resume without a deadline waits for its start.",
            "300",
        ),
    ]
    reconcile_seconds: Annotated[
        float,
        Variable(
            "WORKER_RECONCILE_SECONDS",
            seconds(0, _HOUR),
            "How long after a start whose answer was lost the API may still bring it to light;"
            " only then it is called again.",
            "30",
        ),
    ]
    lease_seconds: Annotated[
        float,
        Variable(
            "WORKER_LEASE_SECONDS",
            seconds(0.5, _HOUR),
            "How long another replica waits before it takes over what a dead one had in hand.",
            "60",
        ),
    ]
    sweep_interval_seconds: Annotated[
        float,
        Variable(
            "WORKER_SWEEP_INTERVAL_SECONDS",
            seconds(0.05, _HOUR),
            "How often the API is asked for what is live; less often when the list is long and"
            " WORKER_API_BUDGET small.",
            "10",
        ),
    ]
    audit_interval_seconds: Annotated[
        float,
        Variable(
            "WORKER_AUDIT_INTERVAL_SECONDS",
            seconds(0.05, _HOUR),
            "How often the API is asked for what is live while webhooks tell of every change.",
            "120",
        ),
    ]
    invoked_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_INVOKED_TIMEOUT_SECONDS",
            seconds(0.1, _DAY),
            "How long a recording may stay INVOKED before it is concluded to have stalled.",
            "120",
        ),
    ]
    uploading_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_UPLOADING_TIMEOUT_SECONDS",
            seconds(0.1, 7 * _DAY),
            "How long a recording may stay UPLOADING before it is concluded to have stalled.",
            "7200",
        ),
    ]
    recording_timeout_seconds: Annotated[
        float,
        Variable(
            "WORKER_RECORDING_TIMEOUT_SECONDS",
            seconds(0.1, 30 * _DAY),
            "How long a recording may last; then it is stopped if it was started here, and"
            " concluded to have stalled if that does not end it.",
            "90000",
        ),
    ]
    files_wait_seconds: Annotated[
        float,
        Variable(
            "WORKER_FILES_WAIT_SECONDS",
            seconds(0, _DAY),
            "How long files are looked for after a recording ended without any.",
            "120",
        ),
    ]
    keep_sent_seconds: Annotated[
        float,
        Variable(
            "WORKER_KEEP_SENT_SECONDS",
            seconds(0, 3_650 * _DAY),
            "How long events are kept in the database after the broker has confirmed them.",
            "86400",
        ),
    ]
    keep_finished_seconds: Annotated[
        float,
        Variable(
            "WORKER_KEEP_FINISHED_SECONDS",
            seconds(1, 3_650 * _DAY),
            "How long commands and recordings are kept in the database after they have ended. So"
            " long a repeated command is recognised; it must exceed"
            " `WORKER_COMMAND_MAX_AGE_SECONDS` and the longest of `WORKER_RETRY_DELAYS_SECONDS`"
            " together.",
            "2592000",
        ),
    ]
    shutdown_seconds: Annotated[
        float,
        Variable(
            "WORKER_SHUTDOWN_SECONDS",
            seconds(0.1, _HOUR),
            "How long the end may take after SIGTERM.",
            "30",
        ),
    ]
    follow_all: Annotated[
        bool,
        Variable(
            "WORKER_FOLLOW_ALL",
            switch,
            "`on` also publishes about recordings that were not started here.",
            "off",
        ),
    ]
    public_url: Annotated[
        str | None,
        Variable(
            "WORKER_PUBLIC_URL",
            http_url,
            "Where the API can reach this worker; when set, its webhooks are registered at the"
            " start.",
        ),
    ]
    otlp_endpoint: Annotated[
        str | None,
        Variable(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            http_url,
            "The OpenTelemetry collector that traces are exported to, such as"
            " `http://collector:4318`. When it is not set, there are no traces.",
        ),
    ]
    otlp_traces_endpoint: Annotated[
        str | None,
        Variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            http_url,
            "The same for traces alone, as the whole URL (with `/v1/traces`).",
        ),
    ]
    otlp_headers: Annotated[
        Secret | None,
        Variable(
            "OTEL_EXPORTER_OTLP_HEADERS",
            otlp_headers,
            "Headers for the collector, `name=value` with commas between them.",
            secret=True,
        ),
    ]
    otlp_protocol: Annotated[
        Literal["http/protobuf"],
        Variable(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            choice("http/protobuf"),
            "How the collector is spoken to: there is no other way.",
            "http/protobuf",
        ),
    ]
    traces_exporter: Annotated[
        Literal["otlp", "none"],
        Variable(
            "OTEL_TRACES_EXPORTER",
            choice("otlp", "none"),
            "`none` turns traces off also where a collector is named.",
            "otlp",
        ),
    ]
    apps_file: Annotated[
        AppsFile | None,
        Variable(
            _MORE_APPS,
            lambda path: AppsFile.from_file(Path(path)),
            "A JSON file with more apps, or with all of them: an object, the name of an app to its"
            " members.",
        ),
    ]
    storage_profiles: Annotated[
        StorageProfiles | None,
        Variable(
            "WORKER_STORAGE_PROFILES_FILE",
            storage_profiles,
            "A JSON file with an object: the name of a storage profile to its `storage_config`."
            " It is read again when it changes.",
        ),
    ]

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read these settings from `environ`; files that it names are read too.

        Raises:
            WrongSettings: with every fault there is, each by the name of its variable.
        """
        settings = super().from_env(environ)
        faults = [f"{_MORE_APPS}: {fault}" for fault in conflicts_between(settings.apps)]
        if (
            settings.keep_finished_seconds
            <= settings.command_max_age_seconds + settings.retry_delays_seconds[-1]
        ):
            faults.append(
                "WORKER_KEEP_FINISHED_SECONDS: must exceed WORKER_COMMAND_MAX_AGE_SECONDS and the"
                " longest of WORKER_RETRY_DELAYS_SECONDS together, else a command that is tried"
                " again could have been forgotten"
            )
        if faults:
            raise WrongSettings(faults)
        return settings

    @property
    def apps(self) -> tuple[AppSettings, ...]:
        """The apps to serve, at least one, each by a name of its own: `default` is the one of the
        plain variables, which also say for the others what their file does not."""
        plain = () if self.api_token is None else (self._app(name="default"),)
        given = map(msgspec.structs.asdict, self.apps_file or ())
        return (*plain, *(self._app(**members) for members in given))

    @property
    def traces_url(self) -> str | None:
        """Where traces are to be exported to; None when they are off."""
        if self.traces_exporter == "none":
            return None
        whole = self.otlp_endpoint and f"{self.otlp_endpoint}/v1/traces"
        return self.otlp_traces_endpoint or whole

    def _app(self, **given: Any) -> AppSettings:  # noqa: ANN401 - members of different types
        fields = AppSettings.__struct_fields__
        plain: dict[str, Any] = {field: getattr(self, field, None) for field in fields}
        known = {name: value for name, value in given.items() if value is not None}
        return AppSettings(**{**plain, **known})
