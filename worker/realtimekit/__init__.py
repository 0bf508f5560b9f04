"""The RealtimeKit API: sends requests, returns snapshots or our own errors.

Every request is one method of the client. It takes a token from the budget, is tried again while
that is safe, and returns a value of `worker.domain` or raises an error of `worker.domain.errors`.

In reading order: `app_opener` and `apps` (the apps that a worker serves), `client` (the
operations), `paged_lists`, `page_numbers` and `page_size` (one page of a list), `fetch`, `actions`
and `participant_directory` (several requests for one result), `session` (one request: attempts,
response). `request_headers`, `response_redactor`, `redaction` and `spellings` keep secrets inside
this package. `retry`, `circuit_breaker`, `error_body`, `error_mapping` (failures to our errors) and
`setting_hints` (the setting behind a failure) handle errors. `rate_limit_headers`, `http_dates`,
`urls`, `models` and `decoding/` convert headers and bodies to values. `http/` is an httpx
transport, and `webhook_signature` has the key that webhooks are signed with.
"""
