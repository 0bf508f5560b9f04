"""The emulated API over HTTP.

It checks requests, executes them on the model, words the responses, sends webhooks, and logs all.
The way through it: `options` and `state` say what a sandbox consists of, and `server` serves it.
`routes` maps paths to operations. `request_handler` takes one request through authentication
(`auth`), `rate_limiter`, faults, operation and log. The operations are in `recording_operations`,
`recording_list`, `session_operations`, `meeting_operations` and `webhook_operations`: each takes a
`call`, checks it (`validation`, `request_bodies`), and words the result (`responses`,
`recording_responses`). `raw_responses` has what is not JSON of the product. `file_downloads` serves
files: `ranges` reads which part is asked for, and `file_body` sends it. `webhooks` creates
deliveries to `webhook_subscriptions` from `webhook_payloads`; `webhook_sender` signs them
(`webhook_signing`) and posts them. `control` is the control plane, `addresses` the URLs of all.
"""
