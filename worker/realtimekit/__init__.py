"""The RealtimeKit API: requests out, snapshots and our own errors in.

Every request is one method of the client. It takes a token from the budget, is tried again while
that is safe, and ends as a value of `worker.domain` or an error of `worker.domain.errors`.

In reading order: `app_opener` and `apps` (the apps that a worker serves), `client` (the
operations), `fetch`, `actions` and `participant_directory` (several requests for one result),
`session` (one request: attempts, response), `request_headers`, `response_redactor`, `redaction` and
`spellings` (no secret leaves this package), `retry`, `circuit_breaker`, `error_mapping` (failures
to our errors), `setting_hints` (the setting behind a failure), `rate_limit_headers` and
`http_dates`, `urls`, `models`, `decoding/` (bodies to values), `http/` (an httpx transport), and
`webhook_signature` (the key that webhooks are signed with).
"""
