"""Shows operators the worker's activity: log lines, metrics, traces, probes. It decides nothing.

`logs` sets up logging, `log_redaction` removes secrets from each line, and `log_output` never waits
for its reader. `metrics` joins `command_metrics`, `api_metrics`, `event_metrics`,
`tracking_metrics` and `archive_metrics`. `metric_factory` creates them, and `later_updates` updates
the busiest at the next scrape. `tracing` is the interface of traces; `trace_exporter` chooses
whether `otlp` exports them. `http_server` serves probes and metrics on the sockets of `listening`.
`http_connections` and `http_body` limit the cost of clients, and `http_errors` logs malformed
requests by `rare_log`. `liveness` has the check of `/livez`. `probe_client` reads the readiness of
a running worker.
"""
