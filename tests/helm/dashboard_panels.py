"""The content of the dashboard: its rows, and each panel's queries and texts.

`tests.helm.dashboard_source` makes the file for Grafana from it. An id never changes, because
alerts and bookmarks link to it.
"""

from typing import Final, NamedTuple

from tests.helm.dashboard_queries import (
    APP,
    CONSUMING,
    FAILED,
    RATE,
    STORE,
    Query,
    S,
    grown,
    largest,
    largest_by,
    of,
    quantile,
    rate,
    total_rate,
)


class Panel(NamedTuple):
    """A panel. Its alert gives the thresholds and the link to a runbook."""

    id: int
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    alert: str | None = None
    console: str | None = None
    kind: str = "timeseries"
    empty: str | None = None
    """The text while there is no data."""
    words: tuple[str, str] | None = None
    """Words for 0 and for 1."""


class Row(NamedTuple):
    """A row of panels. Secondary rows are collapsed."""

    id: int
    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = True


REPLICA: Final = "{{pod}} {{instance}}"
_FIRING: Final = (
    'count(ALERTS{alertname=~"RecordingWorker.*", alertstate="firing", '
    'namespace=~"$namespace|", job=~"$job|"}) or vector(0)'
)
_LAST_SWEEP: Final = of("sweep_last_success_timestamp_seconds", APP)
_SINCE_SWEEP: Final = (
    f"max((time() - {_LAST_SWEEP}) and on (namespace, job, instance) {of('leader')} == 1)"
)

IS_IT_HEALTHY: Final = Row(1, "Is it healthy?", (
    Panel(
        50, "Firing alerts", "How many alerts fire now. 0 also if Prometheus has no rules.",
        "short", (Query(_FIRING, "alerts"),), kind="stat",
    ),
    Panel(
        51, "Replicas", "How many replicas are scraped.", "short",
        (Query(f"count({of('build_info')}) or vector(0)", "replicas"),),
        "RecordingWorkerAbsent", kind="stat",
    ),
    Panel(
        52, "Takes commands", "Whether a replica takes commands from RabbitMQ.", "short",
        (Query(f"max({of('ready', CONSUMING)})", "consuming"),),
        "RecordingWorkerNoConsumer", "/", kind="stat", words=("no", "yes"),
    ),
    Panel(
        53, "Leader", "Whether a replica publishes events and tracks recordings.", "short",
        (Query(f"max({of('leader')})", "leader"),),
        "RecordingWorkerNoLeader", "/", kind="stat", words=("none", "yes"),
    ),
    Panel(
        54, "Database", "Whether every replica can commit.", "short",
        (Query(f"min({of('ready', STORE)})", "database"),),
        "RecordingWorkerStoreTrouble", "/", kind="stat", words=("fails", "works"),
    ),
    Panel(
        3, "Recording API", "Whether the API of each app answers and accepts the token.", "short",
        (largest_by("api_circuit_open", "app", APP),),
        "RecordingWorkerApiOutage", "/", kind="stat", words=("available", "unavailable"),
    ),
    Panel(
        55, "Failed commands", "Commands that reached their maximum age in the last 15 minutes.",
        "short",
        (grown(of("commands_completed_total", FAILED), 15, "failed"),),
        "RecordingWorkerCommandsFail", "/commands", kind="stat",
    ),
    Panel(
        56, "Dead letters", "Messages that were dead-lettered in the last 15 minutes.", "short",
        (grown(of("dead_letters_total"), 15, "dead letters"),),
        "RecordingWorkerDeadLettersGrow", "/dead", kind="stat",
    ),
    Panel(
        57, "Oldest event waits", "How long the oldest event has waited to be published.",
        "s", (largest("outbox_oldest_age_seconds", "age"),),
        "RecordingWorkerOutboxAges", "/", kind="stat",
    ),
    Panel(
        58, "Events set aside", "Events that RabbitMQ never accepted. An operator must decide.",
        "short", (largest("outbox_set_aside_events", "events"),),
        "RecordingWorkerEventsSetAside", "/", kind="stat",
    ),
    Panel(
        59, "Tracking is behind", "The longer of two times: since the leader's last sweep, and "
        "since the most overdue read was due.", "s",
        (Query(f"max({_SINCE_SWEEP} or {of('recordings_read_overdue_seconds')})", "behind"),),
        "RecordingWorkerNotFollowing", "/", kind="stat",
    ),
    Panel(
        38, "Next file is lost in", "Time until the first file expires that is not archived.", "s",
        (Query(f"min({of('archive_first_expiry_seconds')} > -Inf)", "expires"),),
        "RecordingWorkerArchiveExpires", "/archive", kind="stat", empty="no file waits",
    ),
    Panel(
        2, "Readiness by check", "Whether each check passes on all replicas. `recording-worker "
        "status` has the reason if one fails.", "short",
        (Query(f"min by (check) ({of('ready')})", "{{check}}"),),
        console="/", kind="state-timeline", words=("fails", "passes"),
    ),
    Panel(
        20, "Longest time in one status", "How long the longest unchanged recording has had its "
        "status. A long meeting is RECORDING for hours, which is no fault.", "s",
        (largest_by("recordings_oldest_unchanged_seconds", "status"),),
        "RecordingWorkerRecordingStalled", "/", kind="stat", empty="no recording yet",
    ),
), collapsed=False)  # fmt: skip

COMMANDS: Final = Row(5, "Commands", (
    Panel(6, "Received by type", "Deliveries from the queue, also repeated ones.", "ops",
          (rate("commands_received_total", "type"),),
          console="/commands", empty="no command yet"),
    Panel(7, "Completed by outcome", "`retry`: postponed to a later attempt. `repeated`: the "
          "stored outcome was published again.", "ops",
          (rate("commands_completed_total", "outcome"),),
          console="/commands", empty="no command yet"),
    Panel(8, "Delay from sending to outcome", "From sending a command to its outcome, and the "
          "parts of this time.", "s", (
              quantile(0.5, "command_outcome_delay_seconds", "median"),
              quantile(0.99, "command_outcome_delay_seconds", "p99"),
              quantile(0.99, "command_queue_seconds", "p99 in the queue"),
              quantile(0.99, "command_duration_seconds", "p99 of one attempt"),
          ), console="/commands", empty="no command yet"),
    Panel(9, "In progress", "Commands that are executed now, at most WORKER_PREFETCH per replica.",
          "short", (Query(f"sum by (pod, instance) ({of('commands_in_flight')})", REPLICA),),
          console="/commands"),
    Panel(35, "Waiting outside the queue", "Commands that wait in the database for a session or a "
          "start.", "short", (largest_by("parked_commands", "waits_for"),),
          console="/commands", empty="none waits"),
    Panel(43, "Oldest command outside the queue", "How long the oldest of these has waited.", "s",
          (largest_by("parked_oldest_age_seconds", "waits_for"),),
          console="/commands", empty="none waits"),
    Panel(10, "Dead letters in 15 min", "Dead letters by reason, and messages with the id of "
          "another command.", "short", (
              Query(f"sum by (reason) (increase({of('dead_letters_total')}[15m]))", "{{reason}}"),
              grown(of("command_id_conflicts_total"), 15, "id of another command"),
          ), "RecordingWorkerDeadLettersGrow", "/dead"),
    Panel(33, "Refused dead letters", "The dead-letter queue is full. Dead letters wait in the "
          "retry queues.", "ops", (total_rate("dead_letters_refused_total", "refused"),),
          console="/dead"),
), collapsed=False)  # fmt: skip

RECORDINGS: Final = Row(18, "Recordings and tracking", (
    Panel(19, "Recordings by status", "Recordings that have not completed.", "short",
          (largest_by("recordings", "status"),), console="/", empty="no recording yet"),
    Panel(21, "Last sweep and overdue reads", "Time since the last sweep of each app, and since "
          "the most overdue read was due.", "s", (
              Query(f"min by (app) (time() - {_LAST_SWEEP})", "since the sweep of {{app}}"),
              largest("recordings_read_overdue_seconds", "overdue read"),
          ),
          "RecordingWorkerNotFollowing", "/"),
    Panel(45, "Duration of sweeps", "Whether they completed or failed.", "s", (
              quantile(0.5, "sweep_duration_seconds", "median"),
              quantile(0.99, "sweep_duration_seconds", "p99"),
          ), console="/"),
    Panel(46, "Failed sweeps in 5 min", "The API did not answer, or the budget was exhausted.",
          "short", (grown(of("sweep_failures_total"), 5, "failed"),), console="/"),
    Panel(22, "Webhooks by verdict", "Answered webhooks of the API.", "ops",
          (rate("webhooks_total", "verdict"),), console="/", empty="no webhook yet"),
    Panel(34, "Unknown statuses in 15 min", "Recordings with a status that is not documented.",
          "short", (grown(of("api_unknown_statuses_total"), 15, "in answers and webhooks"),),
          "RecordingWorkerUnknownStatus", "/"),
), collapsed=False)  # fmt: skip

API: Final = Row(11, "Recording API and budget", (
    Panel(12, "Requests by outcome", "HTTP attempts. A retry is an attempt after the first.",
          "reqps", (rate("api_requests_total", "outcome"),
                    total_rate("api_retries_total", "retries")), empty="no request yet"),
    Panel(13, "Requests by operation", "HTTP attempts by method and path.", "reqps",
          (rate("api_requests_total", "operation"),), empty="no request yet"),
    Panel(14, "Duration of one attempt", "How long the API takes to answer.", "s", (
              quantile(0.5, "api_request_duration_seconds", "median"),
              quantile(0.99, "api_request_duration_seconds", "p99"),
          ), empty="no request yet"),
    Panel(15, "Budget left", "Requests that can be sent immediately, per account.", "short",
          (Query(f"min by (account) ({of('api_budget_left')})", "{{account}}"),), console="/"),
    Panel(16, "Wait for the budget, p99", "How long requests waited, by priority, and how long the "
          "API asked to pause.", "s", (
              quantile(0.99, "api_budget_wait_seconds", "{{priority}}", "priority"),
              Query(f"max by (account) ({of('api_budget_paused_seconds')})", "paused, {{account}}"),
          ), console="/"),
    Panel(17, "No quota in time, in 10 min", "Requests of commands that got no quota. Their "
          "commands are tried again.", "short",
          (grown(of("api_budget_refusals_total"), 10, "refused"),),
          "RecordingWorkerBudgetExhausted", "/"),
))  # fmt: skip

PUBLISHING: Final = Row(23, "Publishing", (
    Panel(24, "Published by type", "Messages that RabbitMQ confirmed.", "ops",
          (rate("events_published_total", "type"),), empty="no event yet"),
    Panel(26, "Delay from commit to confirmation", "How long an event needs to get to RabbitMQ.",
          "s", (quantile(0.5, "event_publish_delay_seconds", "median"),
                quantile(0.99, "event_publish_delay_seconds", "p99"))),
    Panel(25, "Unpublished events", "Events that are committed and not published, those that are "
          "tried again later, and those set aside.", "short", (
              largest("outbox_events", "waiting"),
              largest("outbox_deferred_events", "tried again later"),
              largest("outbox_set_aside_events", "set aside"),
          ), console="/"),
    Panel(31, "Age of the oldest event", "How long the oldest unpublished event has waited.", "s",
          (largest("outbox_oldest_age_seconds", "age"),), "RecordingWorkerOutboxAges", "/"),
    Panel(32, "Refusals", "Publications that failed, and replies whose queue is not allowed.",
          "ops", (
              total_rate("events_deferred_total", "tried again later"),
              total_rate("events_set_aside_total", "set aside"),
              total_rate("replies_refused_total", "refused replies"),
          ), empty="no refusal yet"),
))  # fmt: skip

ARCHIVE: Final = Row(36, "Archive", (
    Panel(37, "Files that wait", "Files that are queued to be archived.", "short",
          (largest("archive_queued_files", "queued"),), console="/archive"),
    Panel(47, "Files that the storage refuses", "Refused five times in a row. They stay queued.",
          "short", (largest("archive_refused_files", "refused"),),
          "RecordingWorkerArchiveRefused", "/archive"),
    Panel(48, "Files given up in an hour", "They are not archived and not tried again.", "short",
          (Query(f"max({of('archive_failed_files')}) - max({of('archive_failed_files')} offset 1h)",
                 "given up"),),
          "RecordingWorkerFilesNotArchived", "/archive", empty="known after an hour"),
    Panel(39, "Oldest queued file", "How long the oldest queued file has waited.", "s",
          (largest("archive_oldest_age_seconds", "age"),),
          "RecordingWorkerArchiveWaits", "/archive"),
    Panel(40, "Archived files", "Files that were copied, per second.", "ops",
          (total_rate("archive_files_copied_total", "files"),), console="/archive"),
    Panel(41, "Archived bytes", "Bytes that were copied, per second.", "binBps",
          (total_rate("archive_bytes_copied_total", "bytes"),), console="/archive"),
    Panel(42, "Failed attempts by reason", "Attempts to archive a file that failed.", "ops",
          (Query(f"{rate('archive_failures_total', 'reason').expression} > 0", "{{reason}}"),),
          console="/archive",
          empty="no failure yet"),
    Panel(49, "Duration of copies", "From the start of an attempt to the commit of its copy.",
          "s", (
              quantile(0.5, "archive_copy_duration_seconds", "median"),
              quantile(0.99, "archive_copy_duration_seconds", "p99"),
          ), console="/archive"),
))  # fmt: skip

PROCESS: Final = Row(27, "Process", (
    Panel(28, "CPU", "Share of one core.", "percentunit",
          (Query(f"sum by (pod, instance) (rate(process_cpu_seconds_total{{{S}}}{RATE}))",
                 REPLICA),)),
    Panel(29, "Memory", "Resident memory.", "bytes",
          (Query(f"sum by (pod, instance) (process_resident_memory_bytes{{{S}}})", REPLICA),)),
    Panel(30, "Versions", "Replicas by version. Two versions show an upgrade in progress.", "short",
          (Query(f"count by (version) ({of('build_info')})", "{{version}}"),)),
))  # fmt: skip

ROWS: Final = (IS_IT_HEALTHY, COMMANDS, RECORDINGS, API, PUBLISHING, ARCHIVE, PROCESS)
