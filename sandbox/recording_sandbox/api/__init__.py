"""The emulated API over HTTP.

It checks requests, executes them on the model, returns responses, sends webhooks, and logs all.
`options` and `state` define a sandbox, and `server` serves it. `routes` maps paths to operations.
`request_handler` takes one request through authentication (`auth`), `rate_limiter`, faults,
operation and log.

The operations are in `recording_operations`, `recording_list`, `session_operations`,
`meeting_operations` and `webhook_operations`. Each takes a `call`, checks it (`validation`,
`request_bodies`), and returns the result (`responses`, `recording_responses`). `raw_responses` has
the responses that are not the product's JSON.

`file_downloads` serves files: `ranges` parses the requested range, and `file_body` sends it.
`webhooks` creates deliveries to `webhook_subscriptions` from `webhook_payloads`; `webhook_sender`
signs them (`webhook_signing`) and posts them. `control` is the control plane, `addresses` the URLs
of all.
"""
